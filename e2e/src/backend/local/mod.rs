//! The local backend: exporter, Prometheus and Grafana as children of this process, on loopback, in the run's own
//! directory. No Docker, no root.

pub mod fleet;
mod grafana;
pub mod prometheus;
pub mod scenario_nodes;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::backend::Backend;
use crate::backend::Ports;
use crate::client::exporter::Exporter;
use crate::client::prometheus::Prometheus;
use crate::process::child::Process;
use crate::process::log::{self, Line};
use crate::run::Run;
use crate::run::evidence;
use crate::stack::{Part, Procfs, Stack};
use crate::terminal::out;
use crate::terminal::progress::Progress;
use crate::tools::{self, Tool};
use crate::wait::interrupt;
use crate::workspace::exporter;

use fleet::DiscoveredNode;
use scenario_nodes::{NodeStep, ScenarioNodes};

pub use fleet::Fleet;
pub use grafana::{Wanted as WantedGrafana, grafana_in};

/// The least that a check waits, however long the stack has been up: a few scrapes.
const SETTLED: Duration = Duration::from_secs(10);

/// How the local stack is to be.
#[derive(Debug, Default)]
pub struct Options {
    /// The tree that the exporter reads; `/proc` if none is named.
    pub procfs: Option<PathBuf>,
    /// Simulated nodes in place of the one that this machine is.
    pub fleet: Option<Fleet>,
    /// The nodes of a scenario, beside the simulated ones or alone.
    pub scenario: Option<ScenarioSetup>,
    /// The exporter's binary; this workspace's if none is named.
    pub exporter: Option<PathBuf>,
    /// Prometheus' binary; searched for if none is named.
    pub prometheus: Option<PathBuf>,
    /// Which Grafana is wanted; none if there is none.
    pub grafana: Option<WantedGrafana>,
    /// Which ports to use.
    pub ports: Ports,
}

impl Options {
    /// How often Prometheus scrapes: in a scenario once a step.
    fn scrape_interval(&self) -> Duration {
        let of_scenario = self.scenario.as_ref().map(|setup| setup.interval);
        of_scenario.or(self.fleet.map(Fleet::interval)).unwrap_or(Duration::from_secs(1))
    }
}

/// What a scenario needs of its stack.
#[derive(Clone, Debug)]
pub struct ScenarioSetup {
    /// Each node's name and first step.
    pub nodes: Vec<(String, NodeStep)>,
    /// The rule files, name and text, in place of the shipped ones.
    pub rules: Vec<(String, String)>,
    /// The alerts that are not in them, each with the reason.
    pub omitted: Vec<(String, String)>,
    /// How often Prometheus scrapes, and evaluates the rules.
    pub interval: Duration,
}

/// A running local stack. Dropping it ends the processes, then removes their directory.
#[must_use]
pub struct Local {
    stack: Stack,
    parts: Parts,
    /// How many bytes Grafana had logged when the stack was up.
    logged_by_grafana: usize,
    up: Instant,
    run: Run,
}

/// The processes.
struct Parts {
    /// The exporter, or all that are simulated; none where only a scenario's nodes run.
    exporter: Option<Process>,
    scenario_nodes: Option<ScenarioNodes>,
    prometheus: Process,
    grafana: Option<Process>,
}

impl Local {
    /// Starts the stack of a run; returns as soon as each part answers.
    pub fn start(options: &Options, run: Run, progress: &Progress) -> Result<Self> {
        let build = |step: &_| exporter::binary(options.exporter.as_deref(), step);
        let binary = match (options.fleet, &options.scenario) {
            (Some(_), None) => None,
            _ => Some(progress.step("build the exporter", build)?),
        };
        let found = progress.step("find Prometheus", |step| {
            let found = tools::find(Tool::Prometheus, options.prometheus.as_deref(), step)?;
            step.came_to(found.summary());
            Ok(found)
        })?;
        let home = grafana::find(options.grafana.as_ref(), progress)?;
        let started = start_parts(options, progress, &run, binary.as_deref(), &found.path, home);
        let (stack, parts) = started.map_err(|error| {
            if interrupt::seen() {
                return error;
            }
            evidence::below(&error, "the lab did not start", evidence::save(&run))
        })?;
        run.record("local", stack.links())?;
        let logged_by_grafana = parts.grafana.as_ref().map_or(0, |grafana| grafana.log_text().len());
        Ok(Self { stack, parts, logged_by_grafana, up: Instant::now(), run })
    }

    /// The process of the exporter, or of all that are simulated; none where only a scenario's nodes run.
    pub fn exporter(&self) -> Option<&Process> {
        self.parts.exporter.as_ref()
    }

    /// Prometheus' process.
    pub fn prometheus(&self) -> &Process {
        &self.parts.prometheus
    }
}

impl Backend for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn scenario_nodes(&self) -> Option<&ScenarioNodes> {
        self.parts.scenario_nodes.as_ref()
    }

    fn alive(&self) -> Result<()> {
        let Parts { exporter, scenario_nodes, prometheus, grafana } = &self.parts;
        exporter.iter().try_for_each(Process::alive)?;
        scenario_nodes.iter().try_for_each(ScenarioNodes::alive)?;
        prometheus.alive()?;
        grafana.iter().try_for_each(Process::alive)
    }

    fn complaints(&self) -> Vec<String> {
        let processes = self.parts.exporter.iter().chain([&self.parts.prometheus]);
        let mut lines: Vec<String> = processes.flat_map(|process| log::complaints(&process.log_text())).collect();
        if let Some(grafana) = &self.parts.grafana {
            lines.extend(grafana::complaints(&grafana.log_text(), self.logged_by_grafana));
        }
        lines
    }

    fn check_limit(&self, wanted: Duration) -> Duration {
        // Every wait is for something that follows the start: after one check has timed out, the next ones wait less.
        wanted.saturating_sub(self.up.elapsed()).max(SETTLED.min(wanted))
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        evidence::save(&self.run)
    }

    fn stop(&self) -> Result<()> {
        // In the reverse order of the start, so that no part logs the loss of another.
        let Parts { exporter, scenario_nodes, prometheus, grafana } = &self.parts;
        let parts = grafana.iter().chain([prometheus]).chain(exporter);
        let killed: Vec<String> = parts.filter_map(|part| part.stop().err()).map(|error| error.to_string()).collect();
        scenario_nodes.iter().for_each(ScenarioNodes::stop);
        ensure!(killed.is_empty(), "{}", killed.join("; "));
        Ok(())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn start_parts(
    options: &Options,
    progress: &Progress,
    run: &Run,
    binary: Option<&Path>,
    program: &Path,
    grafana: Part<grafana::Home>,
) -> Result<(Stack, Parts)> {
    let start_prometheus = |config: &serde_json::Value| {
        let rules = options.scenario.as_ref().map(|setup| setup.rules.as_slice());
        let start = |_: &_| prometheus::start(program, config, rules, options.ports, progress, run);
        progress.step("start Prometheus", start)
    };
    let (exporters, (prometheus, base)) = if options.fleet.is_some() || options.scenario.is_some() {
        // Prometheus first: for five seconds after its start it passes no target on, and meanwhile the nodes start.
        let started = start_prometheus(&discovering(options))?;
        (simulate(options, progress, run, binary)?, started)
    } else {
        let (exporters, config) = start_exporter(options, progress, run, binary)?;
        (exporters, start_prometheus(&config)?)
    };
    let mut grafana_process = None;
    let grafana = grafana.try_map(|home| {
        let interval = options.scrape_interval();
        let (process, grafana) = grafana::start(&home, &base, interval, options.ports, progress, run)?;
        grafana_process = Some(process);
        anyhow::Ok(grafana)
    })?;
    let Exporters { process, scenario_nodes, nodes, clients, procfs } = exporters;
    let stack = Stack::own(nodes, clients, Prometheus::new(base), grafana, procfs);
    Ok((stack, Parts { exporter: process, scenario_nodes, prometheus, grafana: grafana_process }))
}

/// The exporters of a stack.
struct Exporters {
    process: Option<Process>,
    scenario_nodes: Option<ScenarioNodes>,
    nodes: BTreeSet<String>,
    clients: Vec<Exporter>,
    procfs: Procfs,
}

/// The exporter of the node that this machine or a tree is, and the configuration of a Prometheus that scrapes it.
fn start_exporter(
    options: &Options,
    progress: &Progress,
    run: &Run,
    binary: Option<&Path>,
) -> Result<(Exporters, serde_json::Value)> {
    let binary = binary.context("no exporter was built")?;
    let (process, exporter) = progress.step("start the exporter", |_| start_process(options, progress, run, binary))?;
    let node = exporter.hostname()?;
    let config = prometheus::config(&node, exporter.base().trim_start_matches("http://"));
    let procfs = procfs(options.procfs.as_deref());
    let (nodes, clients) = (BTreeSet::from([node]), vec![exporter]);
    Ok((Exporters { process: Some(process), scenario_nodes: None, nodes, clients, procfs }, config))
}

/// The configuration of a Prometheus that finds simulated nodes in files.
fn discovering(options: &Options) -> serde_json::Value {
    let files =
        [options.fleet.map(|_| fleet::DISCOVERED), options.scenario.as_ref().map(|_| scenario_nodes::DISCOVERED)];
    let files: Vec<&str> = files.into_iter().flatten().collect();
    prometheus::discovering(&files, &format!("{}ms", options.scrape_interval().as_millis()))
}

/// The nodes of a fleet, and those of a scenario.
fn simulate(options: &Options, progress: &Progress, run: &Run, binary: Option<&Path>) -> Result<Exporters> {
    let (mut process, mut scenario_nodes) = (None, None);
    let mut listed = Vec::new();
    if let Some(fleet) = options.fleet {
        let step = format!("start {}", out::count(fleet.nodes, "simulated node", "simulated nodes"));
        let (started, nodes) = progress.step(&step, |_| fleet::start(fleet, run))?;
        process = Some(started);
        listed.extend(nodes);
    }
    if let Some(setup) = &options.scenario {
        let binary = binary.context("no exporter was built")?;
        let step = format!("start the scenario's {}", out::count(setup.nodes.len(), "exporter", "exporters"));
        let started = progress.step(&step, |_| ScenarioNodes::start(binary, run, &setup.nodes))?;
        listed.extend(started.listed());
        scenario_nodes = Some(started);
    }
    Ok(Exporters {
        process,
        scenario_nodes,
        nodes: listed.iter().map(DiscoveredNode::node).collect(),
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

/// Starts a part on its usual port, or on any other if that one is taken; returns the bound address.
fn on_a_free_port(
    ports: Ports,
    usual: u16,
    progress: &Progress,
    mut start: impl FnMut(u16) -> Result<(Process, &'static str)>,
) -> Result<(Process, String)> {
    let mut bound = |port: u16| -> Result<(Process, Result<String>)> {
        let (process, message) = start(port)?;
        let address = process.wait_for_line("its address", Duration::from_secs(30), |line| {
            let address = Line(line).field("address").or_else(|| Line(line).field("local-address"))?;
            Line(line).message().eq_ignore_ascii_case(message).then_some(address)
        });
        Ok((process, address))
    };
    let (process, address) = bound(if ports == Ports::Usual { usual } else { 0 })?;
    if ports == Ports::Usual && address.is_err() && process.found_address_taken() {
        progress.line(&format!("     {}: port {usual} is in use; using another", process.name()));
        drop(process);
        let (process, address) = bound(0)?;
        return address.map(|address| (process, address));
    }
    address.map(|address| (process, address))
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
