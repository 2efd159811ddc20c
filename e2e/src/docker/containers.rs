//! The containers and networks of a run. They carry its label, by which any later run finds them.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::docker::docker;
use crate::process::command::CommandError;

/// The label of everything that a run makes; its value is the run's id.
pub const LABEL: &str = "org.mini-node-exporter.run";

/// Removes every container and every network of a run, even after an interrupt, if there are any.
pub fn remove(run: &str) -> Result<()> {
    // Networks last: the engine refuses to remove one that a container is on.
    for (what, list, remove) in [
        ("container", &["ls", "--quiet", "--all"][..], &["rm", "--force", "--volumes"][..]),
        ("network", &["ls", "--quiet"][..], &["rm"][..]),
    ] {
        let ids = labelled(what, list, run)?;
        if ids.is_empty() {
            continue;
        }
        let removed = docker([what]).args(remove).args(&ids).limit(Duration::from_secs(60)).shielded().run();
        // `docker` fails for what another run has removed in the meantime, which is fine here.
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
