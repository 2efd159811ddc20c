//! The local backend: exporter, Prometheus and Grafana as children of this process, on loopback, in the run's own
//! directory. No Docker, no root.

pub mod fleet;
mod grafana;
pub mod prometheus;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::backend::Backend;
use crate::backend::Ports;
use crate::client::exporter::Exporter;
use crate::client::prometheus::Prometheus;
use crate::process::child::Process;
use crate::process::log::{self, Line};
use crate::run::Run;
use crate::run::evidence;
use crate::stack::{Part, Procfs, Stack};
use crate::terminal::progress::Progress;
use crate::tools::{self, Tool};
use crate::wait::interrupt;
use crate::workspace::exporter;

use fleet::Listed;

pub use fleet::Fleet;
pub use grafana::Wanted as WantedGrafana;

/// A check of a stack that has been up for long still gets this time, a few scrapes' worth.
const SETTLED: Duration = Duration::from_secs(10);

/// How the local stack is to be.
#[derive(Debug, Default)]
pub struct Options {
    /// The tree that the exporter reads; `/proc` if none is named.
    pub procfs: Option<PathBuf>,
    /// Simulated nodes in place of the one that this machine is.
    pub fleet: Option<Fleet>,
    /// The exporter's binary; this workspace's if none is named.
    pub exporter: Option<PathBuf>,
    /// Prometheus' binary; looked for if none is named.
    pub prometheus: Option<PathBuf>,
    /// Which Grafana is wanted; none if there is none.
    pub grafana: Option<WantedGrafana>,
    /// Which ports to use.
    pub ports: Ports,
    /// What a test changes in Prometheus' configuration, to see the checks fail.
    pub edit_config: Option<fn(&mut serde_json::Value)>,
    /// Where the run's directory is made; the user's state directory if none is named.
    pub state: Option<PathBuf>,
    /// The longest that a check waits: for tests of checks that fail, which need not wait for what never comes.
    pub check_limit: Option<Duration>,
}

/// A running local stack. Dropping it ends the processes, then removes their directory.
#[must_use]
pub struct Local {
    stack: Stack,
    exporter: Process,
    prometheus: Process,
    grafana: Option<Process>,
    up: Instant,
    check_limit: Option<Duration>,
    run: Run,
}

impl Local {
    /// Starts the stack; returns as soon as each part answers.
    pub fn start(options: &Options, progress: &Progress) -> Result<Self> {
        let build = |step: &_| exporter::binary(options.exporter.as_deref(), step);
        let binary = match options.fleet {
            Some(_) => None,
            None => Some(progress.step("build the exporter", build)?),
        };
        let found = progress.step("find Prometheus", |step| {
            let found = tools::find(Tool::Prometheus, options.prometheus.as_deref(), step)?;
            step.came_to(found.summary());
            Ok(found)
        })?;
        let home = grafana::find(options.grafana.as_ref(), progress)?;
        let run = match &options.state {
            Some(state) => Run::create_in(state.clone(), "local")?,
            None => Run::create("local")?,
        };
        start_parts(options, progress, &run, binary.as_deref(), &found.path, home)
            .map_err(|error| if interrupt::seen() { error } else { with_evidence(error, &run) })
            .and_then(|(stack, exporter, prometheus, grafana)| {
                run.record("local", stack.links())?;
                let (up, check_limit) = (Instant::now(), options.check_limit);
                Ok(Self { stack, exporter, prometheus, grafana, up, check_limit, run })
            })
    }

    /// The process of the exporter, or of all that are simulated.
    pub fn exporter(&self) -> &Process {
        &self.exporter
    }

    /// Prometheus' process.
    pub fn prometheus(&self) -> &Process {
        &self.prometheus
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

    fn alive(&self) -> Result<()> {
        self.exporter.alive()?;
        self.prometheus.alive()?;
        self.grafana.as_ref().map_or(Ok(()), Process::alive)
    }

    fn complaints(&self) -> Vec<String> {
        let processes = [Some(&self.exporter), Some(&self.prometheus), self.grafana.as_ref()];
        processes.into_iter().flatten().flat_map(|process| log::complaints(&process.log_text())).collect()
    }

    fn check_limit(&self, wanted: Duration) -> Duration {
        // Every wait is for something that follows the start: after one check has waited in vain, the next ones need
        // not wait as long again.
        let left = wanted.saturating_sub(self.up.elapsed()).max(SETTLED.min(wanted));
        self.check_limit.map_or(left, |limit| limit.min(left))
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        evidence::save(&self.run)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // The reverse of the start, so that nobody logs a peer that went first.
        for process in self.grafana.iter().chain([&self.prometheus, &self.exporter]) {
            process.stop();
        }
    }
}

fn with_evidence(error: anyhow::Error, run: &Run) -> anyhow::Error {
    match evidence::save(run) {
        Ok(folder) => error.context(format!("the lab did not start; its logs are in {}", folder.display())),
        Err(unsaved) => error.context(format!("the lab did not start, and its logs were not saved: {unsaved:#}")),
    }
}

type Parts = (Stack, Process, Process, Option<Process>);

fn start_parts(
    options: &Options,
    progress: &Progress,
    run: &Run,
    binary: Option<&Path>,
    prometheus: &Path,
    grafana: Part<grafana::Home>,
) -> Result<Parts> {
    let (exporter_process, exporters) = start_exporters(options, progress, run, binary)?;
    let (prometheus_process, prometheus) = progress.step("start Prometheus", |_| {
        let mut config = exporters.config;
        if let Some(edit) = options.edit_config {
            edit(&mut config);
        }
        prometheus::start(prometheus, &config, options.ports, progress, run)
    })?;
    let mut grafana_process = None;
    let grafana = grafana.try_map(|home| {
        let (process, grafana) = grafana::start(&home, &prometheus, options.ports, progress, run)?;
        grafana_process = Some(process);
        anyhow::Ok(grafana)
    })?;
    let stack = Stack::own(exporters.nodes, exporters.clients, Prometheus::new(prometheus), grafana, exporters.procfs);
    Ok((stack, exporter_process, prometheus_process, grafana_process))
}

/// The exporters of a stack, and how Prometheus finds them.
struct Exporters {
    nodes: BTreeSet<String>,
    clients: Vec<Exporter>,
    procfs: Procfs,
    config: serde_json::Value,
}

fn start_exporters(
    options: &Options,
    progress: &Progress,
    run: &Run,
    binary: Option<&Path>,
) -> Result<(Process, Exporters)> {
    if let Some(fleet) = options.fleet {
        let step = format!("start {} simulated nodes", fleet.nodes);
        let (process, listed) = progress.step(&step, |_| fleet::start(fleet, run))?;
        let exporters = Exporters {
            nodes: listed.iter().map(Listed::node).collect(),
            clients: listed.iter().map(|listed| Exporter::new(format!("http://{}", listed.address()))).collect(),
            procfs: Procfs::Fixtures(fleet::trees(run)),
            config: prometheus::discovering(&[fleet::DISCOVERED], fleet.interval()),
        };
        return Ok((process, exporters));
    }
    let binary = binary.context("no exporter was built")?;
    let (process, exporter) =
        progress.step("start the exporter", |_| start_exporter(options, progress, run, binary))?;
    let node = exporter.hostname()?;
    let config = prometheus::config(&node, exporter.base().trim_start_matches("http://"));
    let procfs = procfs(options.procfs.as_deref());
    Ok((process, Exporters { nodes: BTreeSet::from([node]), clients: vec![exporter], procfs, config }))
}

fn start_exporter(options: &Options, progress: &Progress, run: &Run, binary: &Path) -> Result<(Process, Exporter)> {
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

/// Starts a part on its usual port, and on any other if that one is taken; gives the address that it bound.
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
        progress.line(&format!("     {}: port {usual} is taken, another is chosen", process.name()));
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

/// Fails early, with the tree's name, where the exporter would say the same later.
pub fn check_procfs(root: &Path) -> Result<()> {
    let entry = std::fs::metadata(root).with_context(|| format!("--path.procfs {}", root.display()))?;
    anyhow::ensure!(entry.is_dir(), "--path.procfs {}: this is no directory", root.display());
    Ok(())
}
