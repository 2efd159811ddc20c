//! What a run has in Docker beside a cluster: containers and networks that carry its label, so that they are found
//! again even by those who did not make them.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::docker::docker;
use crate::process::command::CommandError;
use crate::run::Run;

/// The label of all that a run makes; its value is the run's id.
pub const LABEL: &str = "org.mini-node-exporter.run";

/// Makes the run's network, which has no way out: whoever is on it reaches its neighbours and this machine alone.
pub fn create_network(run: &Run) -> Result<String> {
    let name = format!("mne-{}", run.id());
    let label = format!("{LABEL}={}", run.id());
    docker(["network", "create", "--internal", "--label", &label, &name])
        .run()
        .context("no network could be made: `docker network ls` shows what takes up the address ranges")?;
    Ok(name)
}

/// Removes every container and every network of a run, even after an interrupt; none is no error.
pub fn remove(run: &str) -> Result<()> {
    // A network goes last: the engine keeps one that a container is on.
    for (what, list, remove) in [
        ("container", &["ls", "--quiet", "--all"][..], &["rm", "--force", "--volumes"][..]),
        ("network", &["ls", "--quiet"][..], &["rm"][..]),
    ] {
        let ids = labelled(what, list, run)?;
        if ids.is_empty() {
            continue;
        }
        let removed = docker([what]).args(remove).args(&ids).limit(Duration::from_secs(60)).shielded().run();
        // What somebody else removed meanwhile is an error to `docker`, and none here.
        if let Err(error) = removed
            && !labelled(what, list, run)?.is_empty()
        {
            return Err(error).with_context(|| format!("a {what} of run {run} is still there"));
        }
    }
    Ok(())
}

fn labelled(what: &str, list: &[&str], run: &str) -> Result<Vec<String>, CommandError> {
    let filter = format!("label={LABEL}={run}");
    let listed = docker([what]).args(list).args(["--filter", &filter]).shielded().read()?;
    Ok(listed.lines().map(str::to_owned).collect())
}
