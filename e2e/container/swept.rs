//! The next run removes what a killed one left: by its label, and only if nobody holds its lock any more.

use anyhow::{Result, ensure};
use e2e::backend::sweep;
use e2e::docker::containers::{self, LABEL};
use e2e::docker::docker;
use e2e::run::Record;
use e2e::terminal::progress::Progress;
use fs_err as fs;

use crate::running::{Running, inspect};
use crate::site::Site;

pub fn containers_and_networks_of_a_killed_run(site: &mut Site) -> Result<()> {
    let id = format!("{}-killed", site.run().id());
    let result = swept(site, &id);
    // If the sweep failed, nothing else would remove them.
    containers::remove(&id)?;
    result
}

fn swept(site: &Site, id: &str) -> Result<()> {
    let own = Running::start(site.exporter())?;
    let label = format!("{LABEL}={id}");
    let network = format!("mne-{id}");
    docker(["network", "create", "--internal", "--label", &label, &network]).run()?;
    let container = docker(["run", "--detach", "--label", &label, "--network", &network, site.image()]).read()?;
    // A run's directory as SIGKILL leaves it: its record, and a lock that nobody holds. Whole at once, for other
    // processes sweep too.
    let aside = site.run().dir().join("killed");
    let dir = site.run().dir().with_file_name(id);
    fs::create_dir(&aside)?;
    fs::write(aside.join("lock"), "")?;
    let record = Record { pid: std::process::id(), backend: "container".into(), links: Vec::new() };
    fs::write(aside.join("run.json"), serde_json::to_vec(&record)?)?;
    fs::rename(&aside, &dir)?;

    sweep::sweep(&Progress::quiet());

    ensure!(inspect("container", &container).is_err(), "the container {container} is still there");
    ensure!(inspect("network", &network).is_err(), "the network {network} is still there");
    ensure!(!dir.exists(), "{} is still there", dir.display());
    ensure!(own.container().is_running()?, "the sweep removed a container of a run that lives");
    Ok(())
}
