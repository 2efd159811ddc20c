//! What the local Prometheus scrapes: the exporter of this node, the targets of another program, or simulated nodes.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::fleet::{self, DiscoveredNode};
use super::scenario_nodes::{self, ScenarioNodes};
use super::{Options, command, on_a_free_port, prometheus};
use crate::client::exporter::Exporter;
use crate::process::child::Process;
use crate::run::Run;
use crate::stack::{Procfs, Scraped};
use crate::terminal::out;
use crate::terminal::progress::Progress;
use crate::workspace::description::Endpoint;

/// The exporters of a stack.
pub(super) struct Exporters {
    pub process: Option<Process>,
    pub scenario_nodes: Option<ScenarioNodes>,
    pub scraped: Scraped,
    pub clients: Vec<Exporter>,
    pub procfs: Procfs,
}

/// The exporter of the node that this machine or a tree is, and the configuration of a Prometheus that scrapes it.
pub(super) fn start_exporter(
    options: &Options,
    progress: &Progress,
    run: &Run,
    binary: Option<&Path>,
) -> Result<(Exporters, Value)> {
    let binary = binary.context("no exporter was built")?;
    let (process, exporter) = progress.step("start the exporter", |_| start_process(options, progress, run, binary))?;
    let node = exporter.hostname()?;
    let config = prometheus::config(&node, exporter.base().trim_start_matches("http://"));
    let procfs = procfs(options.procfs.as_deref());
    let (scraped, clients) = (Scraped::Nodes([node].into()), vec![exporter]);
    Ok((Exporters { process: Some(process), scenario_nodes: None, scraped, clients, procfs }, config))
}

/// The command, if there is one, and the configuration of a Prometheus that scrapes the targets of another program.
pub(super) fn start_command(
    options: &Options,
    targets: &[Endpoint],
    progress: &Progress,
    run: &Run,
) -> Result<(Exporters, Value)> {
    let command = options.command();
    let start =
        |(command, target)| progress.step("start the command", |_| command::start(command, target, run, "command.log"));
    let config = prometheus::of_targets(&options.project.job, targets, options.scrape_interval());
    let exporters = Exporters {
        process: command.map(start).transpose()?,
        scenario_nodes: None,
        scraped: Scraped::Instances(targets.iter().map(|target| target.address.clone()).collect()),
        clients: Vec::new(),
        procfs: Procfs::Unseen,
    };
    Ok((exporters, config))
}

/// The configuration of a Prometheus that finds simulated nodes in files.
pub(super) fn discovering(options: &Options) -> Value {
    let files =
        [options.fleet.map(|_| fleet::DISCOVERED), options.scenario.as_ref().map(|_| scenario_nodes::DISCOVERED)];
    let files: Vec<&str> = files.into_iter().flatten().collect();
    prometheus::discovering(&files, options.scrape_interval())
}

/// The nodes of a fleet, and those of a scenario.
pub(super) fn simulate(options: &Options, progress: &Progress, run: &Run, binary: Option<&Path>) -> Result<Exporters> {
    let (mut process, mut scenario_nodes) = (None, None);
    let mut listed = Vec::new();
    if let Some(fleet) = options.fleet {
        let step = format!("start {}", out::count(fleet.nodes, "simulated node", "simulated nodes"));
        let (started, nodes) = progress.step(&step, |_| fleet::start(fleet, run))?;
        process = Some(started);
        listed.extend(nodes);
    }
    if let Some(setup) = options.scenario.as_ref().filter(|setup| !setup.nodes.is_empty()) {
        let binary = binary.context("no exporter was built")?;
        let step = format!("start the scenario's {}", out::count(setup.nodes.len(), "exporter", "exporters"));
        let started = progress.step(&step, |_| ScenarioNodes::start(binary, run, &setup.nodes))?;
        listed.extend(started.listed());
        scenario_nodes = Some(started);
    }
    Ok(Exporters {
        process,
        scenario_nodes,
        scraped: Scraped::Nodes(listed.iter().map(DiscoveredNode::node).collect()),
        clients: listed.iter().map(|listed| Exporter::new(format!("http://{}", listed.address()))).collect(),
        procfs: Procfs::Fixtures(fleet::trees(run.dir())),
    })
}

fn start_process(options: &Options, progress: &Progress, run: &Run, binary: &Path) -> Result<(Process, Exporter)> {
    let (process, address) = on_a_free_port(options.ports, 23333, progress, |port| {
        let mut args: Vec<OsString> = vec![format!("--web.listen-address=127.0.0.1:{port}").into()];
        if let Some(root) = &options.procfs {
            let mut arg = OsString::from("--path.procfs=");
            arg.push(root);
            args.push(arg);
        }
        let process = Process::start("exporter", binary, &args, &[], run.dir().join("exporter.log"))?;
        Ok((process, "listening"))
    })?;
    let exporter = Exporter::new(format!("http://{address}"));
    process.wait_until("ready", Duration::from_secs(5), || exporter.ready())?;
    Ok((process, exporter))
}

fn procfs(root: Option<&Path>) -> Procfs {
    let root = root.unwrap_or(Path::new("/proc"));
    // A bind mount of a procfs is one too, whatever its name.
    if rustix::fs::statfs(root).is_ok_and(|statfs| statfs.f_type == rustix::fs::PROC_SUPER_MAGIC) {
        Procfs::Live(root.into())
    } else {
        Procfs::Fixture(root.into())
    }
}
