//! What the exporter answers: exactly what its tree holds, a mounted one or the container's own procfs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::client::http::Server;
use e2e::process::log::Line;
use e2e::stack::Procfs;
use e2e::stack::samples::DURATIONS;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use fs_err as fs;
use serde_json::Value;
use testcontainers::ImageExt as _;

use crate::running::{PORT, Running};
use crate::site::Site;

/// The tree of a fixture, by its case.
pub fn fixture(case: &str) -> PathBuf {
    workspace::root().join("fixtures").join(case).join("proc")
}

pub fn a_mounted_tree_is_served_exactly(site: &mut Site) -> Result<()> {
    for case in ["ordinary-node", "ten-years-up", "512-cores-heavy-load"] {
        let tree = fixture(case);
        let running = Running::start(site.exporter_on(&tree)?)?;
        served_exactly(&running.at(PORT), &tree).with_context(|| format!("fixture {case}"))?;
    }
    Ok(())
}

fn served_exactly(base: &str, tree: &Path) -> Result<()> {
    let get = |path: &str| anyhow::Ok(Server::new(&*base).get(path, &[])?.text()?);
    let [hostname, uptime, load] =
        ["sys/kernel/hostname", "uptime", "loadavg"].map(|file| fs::read_to_string(tree.join(file)));
    let (hostname, uptime, load) = (hostname?.trim().to_owned(), uptime?, load?);
    let uptime = uptime.split_whitespace().next().context("the fixture has no uptime")?;
    let loads: Vec<f64> = load.split_whitespace().take(3).map(str::parse).collect::<Result<_, _>>()?;
    get("/healthz/ready")?;
    let answer = get("/info/hostname")?;
    ensure!(answer == hostname, "/info/hostname is `{answer}`, and the file holds `{hostname}`");
    let answer = get("/info/uptime")?;
    ensure!(answer == uptime, "/info/uptime is `{answer}`, and the file begins with `{uptime}`");
    let answer: Value = serde_json::from_str(&get("/info/load")?)?;
    let pairs: Vec<(&str, Option<f64>)> =
        answer.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_f64())).collect();
    let wanted: Vec<(&str, Option<f64>)> = DURATIONS.into_iter().zip(loads.iter().copied().map(Some)).collect();
    ensure!(pairs == wanted, "/info/load is {answer}, and the file begins with {loads:?}");
    let label = format!("hostname=\"{hostname}\"");
    let mut wanted = vec![format!("node_uptime{{{label}}} {uptime}")];
    let durations = DURATIONS.into_iter().zip(&loads);
    wanted.extend(durations.map(|(duration, load)| format!("node_load{{{label},duration=\"{duration}\"}} {load}")));
    let exposition = get("/metrics")?;
    let ours = |line: &&str| ["node_uptime{", "node_load{"].iter().any(|metric| line.starts_with(metric));
    let samples: Vec<&str> = exposition.lines().filter(ours).collect();
    ensure!(
        samples.len() == wanted.len() && wanted.iter().all(|line| samples.contains(&line.as_str())),
        "/metrics has {samples:?}, and the tree holds {wanted:?}"
    );
    Ok(())
}

/// Neither file is namespaced: without any mount, a container sees the uptime and the load of its node.
pub fn the_live_proc_is_the_node_s_own(site: &mut Site) -> Result<()> {
    let running = Running::start(site.exporter().with_env_var("NODE_NAME", "the-node"))?;
    let base = running.at(PORT);
    let hostname = Server::new(&*base).get("/info/hostname", &[])?.text()?;
    ensure!(hostname == "the-node", "/info/hostname is `{hostname}`, and NODE_NAME is `the-node`");
    let [before] = own("uptime")?;
    let uptime: f64 = Server::new(&*base).get("/info/uptime", &[])?.text()?.parse()?;
    let [after] = own("uptime")?;
    ensure!((before..=after).contains(&uptime), "/info/uptime is {uptime}, and this machine's is {before} to {after}");
    // The kernel makes new averages every 5 s: a pair of readings may have fallen on either side.
    poll::until("the node's load", Duration::from_secs(5), Duration::from_millis(100), || {
        let read = || -> Result<([f64; 3], Vec<f64>)> {
            let own = own("loadavg")?;
            let answer: BTreeMap<String, f64> = Server::new(&*base).get("/info/load", &[])?.json()?;
            Ok((own, DURATIONS.iter().filter_map(|duration| answer.get(*duration).copied()).collect()))
        };
        match read() {
            #[expect(clippy::float_cmp, reason = "the same text was parsed on both ways")]
            Ok((own, load)) if own == load[..] => Attempt::Ready(()),
            Ok((own, load)) => Attempt::NotYet(format!("/info/load has {load:?}, and /proc/loadavg {own:?}")),
            Err(error) => Attempt::Failed(error),
        }
    })
}

/// The numbers in a file of this machine's own procfs.
fn own<const N: usize>(file: &str) -> Result<[f64; N]> {
    let nodes = ["this machine".to_owned()].into();
    let numbers = Procfs::Live("/proc".into()).numbers(&nodes, file)?.pop_first();
    Ok(numbers.context("no numbers")?.1)
}

pub fn every_listen_address_is_logged_and_answers(site: &mut Site) -> Result<()> {
    // The third is the DaemonSet's; without IPv6 in the container's kernel it falls back to IPv4.
    for (address, port) in [("0.0.0.0:23333", Some(PORT)), ("0.0.0.0:0", None), (":23333", Some(PORT)), (":0", None)] {
        let running = Running::start(site.exporter().with_cmd([format!("--web.listen-address={address}")]))?;
        let log = running.stderr()?;
        let line = log.lines().find(|line| Line(line).message() == "listening");
        let line = line.with_context(|| format!("no line `listening` in: {log}"))?;
        let bound = Line(line).field("address").with_context(|| format!("no address in `{line}`"))?;
        let said: u16 = bound.rsplit_once(':').context("an address without a port")?.1.parse()?;
        ensure!(
            port.is_none_or(|port| port == said) && said != 0,
            "asked for {address}, it says that it bound {bound}"
        );
        Server::new(running.at(said)).get("/healthz/live", &[])?.text().with_context(|| format!("bound to {bound}"))?;
        let stdout = running.stdout()?;
        ensure!(stdout.is_empty(), "the log belongs on stderr, but stdout has: {stdout}");
    }
    Ok(())
}
