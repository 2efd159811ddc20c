//! What the process may do, as the kernel reports it: nothing that needs a privilege.

use std::io::ErrorKind;

use anyhow::{Context as _, Result, ensure};
use e2e::client::http::Server;
use fs_err as fs;

use crate::running::{PORT, Running, inspect};
use crate::site::Site;

/// Lines of `/proc/PID/status` (proc(5)): ids are real, effective, saved, of the file system.
const STATUS: [(&str, &str); 8] = [
    ("Uid", "65534 65534 65534 65534"),
    ("Gid", "65534 65534 65534 65534"),
    ("CapInh", "0000000000000000"),
    ("CapPrm", "0000000000000000"),
    ("CapEff", "0000000000000000"),
    ("CapBnd", "0000000000000000"),
    ("CapAmb", "0000000000000000"),
    ("NoNewPrivs", "1"),
];

pub fn the_process_has_none(site: &mut Site) -> Result<()> {
    let running = Running::start(site.exporter())?;
    let status = of_process(&running, "status")?;
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let wrong: Vec<String> = STATUS
        .into_iter()
        .filter(|(name, wanted)| line(name).as_deref() != Some(wanted))
        .map(|(name, wanted)| format!("{name} is {:?}, not {wanted}", line(name).unwrap_or_default()))
        .collect();
    ensure!(wrong.is_empty(), "the exporter's process has privileges: {}", wrong.join("; "));
    let groups = line("Groups").unwrap_or_default();
    ensure!(groups.split(' ').all(|group| ["", "65534"].contains(&group)), "it is in the groups {groups}");
    Server::new(running.at(PORT)).get("/metrics", &[])?.text().context("without any privilege")?;
    Ok(())
}

pub fn the_root_is_read_only(site: &mut Site) -> Result<()> {
    let running = Running::start(site.exporter())?;
    let read_only = running.inspect()?["HostConfig"]["ReadonlyRootfs"].as_bool();
    ensure!(read_only == Some(true), "a read-only root was requested, but ReadonlyRootfs is {read_only:?}");
    let mounts = match fs::read_to_string(format!("/proc/{}/mountinfo", running.pid()?)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            eprintln!("note only root may see another user's mounts: the engine's word has to do");
            return Ok(());
        }
        other => other.context("the mounts of the exporter's process")?,
    };
    // The fifth field is the mount point, the sixth its options (proc(5)).
    let root =
        mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields.get(4) == Some(&"/"));
    let options = root.as_ref().and_then(|fields| fields.get(5)).context("the process has no root")?;
    ensure!(options.split(',').any(|option| option == "ro"), "the root is mounted with {options}, not read-only");
    Server::new(running.at(PORT)).get("/metrics", &[])?.text().context("with a read-only root")?;
    Ok(())
}

/// The exporter calls nobody, so an internal network is enough; and it is reached without a published port.
pub fn the_network_is_internal(site: &mut Site) -> Result<()> {
    let network = inspect("network", site.network())?;
    ensure!(network["Internal"] == true, "the network {} is not internal: {}", site.network(), network["Internal"]);
    let running = Running::start(site.exporter())?;
    let inspected = running.inspect()?;
    let networks = &inspected["NetworkSettings"]["Networks"];
    let on: Vec<&String> = networks.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
    ensure!(on == [site.network()], "the exporter is on the networks {on:?}, not only on {}", site.network());
    // An exposed port that is not published is there with the value null.
    let ports = &inspected["NetworkSettings"]["Ports"];
    let published = ports.as_object().into_iter().flatten().any(|(_, bindings)| !bindings.is_null());
    ensure!(!published, "ports are published: {ports}");
    Server::new(running.at(PORT)).get("/healthz/live", &[])?.text().context("from this machine, by its own address")?;
    Ok(())
}

/// A file of the exporter's main process, in this machine's procfs.
fn of_process(running: &Running, file: &str) -> Result<String> {
    let path = format!("/proc/{}/{file}", running.pid()?);
    fs::read_to_string(&path).with_context(|| format!("{path}: the engine must run on the same machine as this tier"))
}
