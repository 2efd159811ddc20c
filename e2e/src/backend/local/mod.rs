//! The local backend: exporter or another program, Prometheus, Alertmanager and Grafana as children of this process, on
//! loopback, in the run's own directory. No Docker, no root.

pub mod alertmanager;
mod command;
mod exporters;
pub mod fleet;
mod grafana;
pub mod prometheus;
pub mod scenario_nodes;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::backend::{Backend, Ports, sink};
use crate::client::alertmanager::Alertmanager;
use crate::client::prometheus::{Labels, Prometheus};
use crate::process::child::Process;
use crate::process::log::{self, Line};
use crate::run::Run;
use crate::run::evidence;
use crate::stack::{Part, Stack};
use crate::terminal::out::Mark;
use crate::terminal::progress::Progress;
use crate::tools::{self, Tool};
use crate::wait::interrupt;
use crate::workspace::description::{CommandLine, Endpoint};
use crate::workspace::exporter;
use crate::workspace::project::Project;
use crate::workspace::rules::RuleFile;

use exporters::Exporters;
use scenario_nodes::{NodeStep, ScenarioNodes};

pub use fleet::Fleet;
pub use grafana::{Wanted as WantedGrafana, grafana_in};

/// The uid of the data source that Grafana is provisioned with.
const DATASOURCE: &str = "mini-node-exporter-prometheus";

/// How often Prometheus sends an alert again in a scenario, where the usual minute is an hour: an alert whose first request
/// failed must not be late. Alertmanager counts one as resolved that is not sent for four times as long.
const SENT_AGAIN: &str = "--rules.alert.resend-delay=5s";

/// The least that a check waits, however long the stack has been up: a few scrapes.
const SETTLED: Duration = Duration::from_secs(10);

/// How the local stack is to be.
#[derive(Debug, Default)]
pub struct Options {
    /// What is scraped, and the rules and dashboards beside it.
    pub project: Project,
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
    /// Which Alertmanager is wanted; none if there is none.
    pub alertmanager: Option<WantedProgram>,
    /// Which Grafana is wanted; none if there is none.
    pub grafana: Option<WantedGrafana>,
    /// Which ports to use.
    pub ports: Ports,
}

/// Which program of an optional part is wanted.
#[derive(Clone, Debug)]
pub enum WantedProgram {
    /// One that can be found.
    Any,
    File(PathBuf),
}

impl Options {
    /// How often Prometheus scrapes: in a scenario once a step.
    fn scrape_interval(&self) -> Duration {
        let of_scenario = self.scenario.as_ref().map(|setup| setup.interval);
        let of_fleet = self.fleet.map(Fleet::interval);
        of_scenario.or(of_fleet).or(self.project.scrape_interval).unwrap_or(Duration::from_secs(1))
    }

    /// The program that is started for the one target of another.
    fn command(&self) -> Option<(&CommandLine, &Endpoint)> {
        self.project.command.as_ref().zip(self.project.targets.first())
    }

    /// Whether an exporter's binary is needed.
    fn has_exporter(&self) -> bool {
        let of_scenario = self.scenario.as_ref().map(|setup| !setup.nodes.is_empty());
        self.project.is_ours() && of_scenario.unwrap_or(self.fleet.is_none())
    }
}

/// What a scenario needs of its stack.
#[derive(Clone, Debug)]
pub struct ScenarioSetup {
    /// Each node's name and first step.
    pub nodes: Vec<(String, NodeStep)>,
    /// The rule files, in place of the project's.
    pub rules: Vec<RuleFile>,
    /// The alerts that are not in them, each with the reason.
    pub omitted: Vec<(String, String)>,
    /// Alertmanager's configuration, in place of the project's.
    pub alertmanager: Value,
    pub external_labels: Labels,
    /// How often Prometheus scrapes, and evaluates the rules.
    pub interval: Duration,
    /// How far Prometheus looks back for a sample, where samples arrive by remote write.
    pub lookback: Option<Duration>,
}

/// A running local stack. Dropping it ends the processes, then removes their directory.
#[must_use]
pub struct Local {
    stack: Stack,
    links: Vec<(String, String)>,
    parts: Parts,
    /// The program that can be restarted, and the process of it that was.
    command: Option<(CommandLine, Endpoint)>,
    restarted: OnceLock<Process>,
    scrape_interval: Duration,
    /// How many bytes Grafana had logged when the stack was up.
    logged_by_grafana: usize,
    up: Instant,
    run: Run,
}

/// The processes.
struct Parts {
    /// The exporter, all that are simulated, or the command; none where nothing but a scenario's nodes is started.
    exporter: Option<Process>,
    scenario_nodes: Option<ScenarioNodes>,
    alertmanager: Option<alertmanager::Running>,
    prometheus: Process,
    grafana: Option<Process>,
}

impl Local {
    /// Starts the stack of a run; returns as soon as each part answers.
    pub fn start(options: &Options, run: Run, progress: &Progress) -> Result<Self> {
        let build = |step: &_| exporter::binary(options.exporter.as_deref(), step);
        let binary = options.has_exporter().then(|| progress.step("build the exporter", build)).transpose()?;
        let found = progress.step("find Prometheus", |step| {
            let found = tools::find(Tool::Prometheus, options.prometheus.as_deref(), step)?;
            step.came_to(found.summary());
            Ok(found)
        })?;
        let optional = Optional {
            alertmanager: match &options.alertmanager {
                None => Part::Omitted,
                Some(WantedProgram::Any) => find_optional(Tool::Alertmanager, None, progress)?,
                Some(WantedProgram::File(path)) => find_optional(Tool::Alertmanager, Some(path), progress)?,
            },
            grafana: grafana::find(options.grafana.as_ref(), progress)?,
        };
        let started = start_parts(options, progress, &run, binary.as_deref(), &found.path, optional);
        let (stack, parts) = started.map_err(|error| {
            if interrupt::seen() {
                return error;
            }
            evidence::below(&error, "the lab did not start", evidence::save(&run))
        })?;
        let targets = options.project.targets.iter().map(|target| ("target".to_owned(), target.to_string()));
        let links: Vec<_> = targets.chain(stack.links()).collect();
        run.record("local", links.clone())?;
        let logged_by_grafana = parts.grafana.as_ref().map_or(0, |grafana| grafana.log_text().len());
        let scrape_interval = options.scrape_interval();
        let command = options.command().map(|(command, target)| (command.clone(), target.clone()));
        let (restarted, up) = (OnceLock::new(), Instant::now());
        Ok(Self { stack, links, parts, command, restarted, scrape_interval, logged_by_grafana, up, run })
    }

    /// The process of the exporter, of all that are simulated, or of the command.
    pub fn exporter(&self) -> Option<&Process> {
        self.restarted.get().or(self.parts.exporter.as_ref())
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

    fn links(&self) -> Vec<(String, String)> {
        self.links.clone()
    }

    fn run(&self) -> &Run {
        &self.run
    }

    fn scenario_nodes(&self) -> Option<&ScenarioNodes> {
        self.parts.scenario_nodes.as_ref()
    }

    fn alive(&self) -> Result<()> {
        let Parts { scenario_nodes, alertmanager, prometheus, grafana, .. } = &self.parts;
        self.exporter().into_iter().try_for_each(Process::alive)?;
        scenario_nodes.iter().try_for_each(ScenarioNodes::alive)?;
        prometheus.alive()?;
        alertmanager.iter().try_for_each(|running| running.process.alive())?;
        grafana.iter().try_for_each(Process::alive)
    }

    fn complaints(&self) -> Vec<String> {
        let alertmanager = self.parts.alertmanager.iter().map(|running| &running.process);
        let processes = self.exporter().into_iter().chain([&self.parts.prometheus]).chain(alertmanager);
        let mut lines: Vec<String> = processes.flat_map(|process| log::complaints(&process.log_text())).collect();
        if let Some(grafana) = &self.parts.grafana {
            lines.extend(grafana::complaints(&grafana.log_text(), self.logged_by_grafana));
        }
        lines
    }

    fn can_restart(&self) -> bool {
        self.command.is_some() && self.restarted.get().is_none()
    }

    fn restart(&self) -> Result<()> {
        let (command, target) = self.command.as_ref().context("there is no program to restart")?;
        self.exporter().into_iter().try_for_each(Process::stop)?;
        let process = command::start(command, target, &self.run, "command-restarted.log")?;
        self.restarted.set(process).ok().context("the program was restarted already")
    }

    fn check_limit(&self, wanted: Duration) -> Duration {
        // The waits are made for a scrape a second.
        let scrapes = 3 * self.scrape_interval.saturating_sub(Duration::from_secs(1));
        // Every wait is for something that follows the start: after one check has timed out, the next ones wait less.
        wanted.saturating_sub(self.up.elapsed()).max(SETTLED.min(wanted)) + scrapes
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        evidence::save(&self.run)
    }

    fn stop(&self) -> Result<()> {
        // In the reverse order of the start, so that no part logs the loss of another.
        let Parts { scenario_nodes, alertmanager, prometheus, grafana, .. } = &self.parts;
        let alertmanager = alertmanager.iter().map(|running| &running.process);
        let parts = grafana.iter().chain([prometheus]).chain(alertmanager).chain(self.exporter());
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

/// The programs of the optional parts.
struct Optional {
    alertmanager: Part<PathBuf>,
    grafana: Part<grafana::Home>,
}

/// Looks for the program of an optional part. Not finding it is an error only where one was named.
fn find_optional(tool: Tool, named: Option<&Path>, progress: &Progress) -> Result<Part<PathBuf>> {
    let step = format!("find {}", tool.title());
    if let Some(path) = named {
        let found = progress.step(&step, |step| tools::find(tool, named, step));
        return Ok(Part::Here(found.with_context(|| format!("--{} {}", tool.name(), path.display()))?.path));
    }
    let found = progress.step(&step, |step| {
        let found = tools::find(tool, None, step);
        step.came_to(found.as_ref().map_or("not found".to_owned(), tools::Found::summary));
        Ok(found)
    })?;
    Ok(match found {
        Ok(found) => Part::Here(found.path),
        Err(error) => Part::Missing(format!("{error:#}")),
    })
}

fn start_parts(
    options: &Options,
    progress: &Progress,
    run: &Run,
    binary: Option<&Path>,
    program: &Path,
    optional: Optional,
) -> Result<(Stack, Parts)> {
    let mut alertmanager_running = None;
    let alertmanager = optional.alertmanager.try_map(|program| {
        let (running, alertmanager) = start_alertmanager(options, progress, run, &program)?;
        alertmanager_running = Some(running);
        anyhow::Ok(Some(alertmanager))
    })?;
    let start_prometheus = |mut config: Value| {
        if let Some(Some(alertmanager)) = alertmanager.here() {
            config["alerting"] = prometheus::alerting(alertmanager.base());
        }
        let rules = options.scenario.as_ref().map_or(&options.project.rules, |setup| &setup.rules);
        let mut flags = Vec::new();
        if let Some(setup) = &options.scenario {
            config["global"]["external_labels"] = json!(setup.external_labels);
            flags.push(SENT_AGAIN.to_owned());
            flags.extend(setup.lookback.into_iter().flat_map(prometheus::receiving));
        }
        let start = |_: &_| prometheus::start(program, &config, rules, &flags, options.ports, progress, run);
        progress.step("start Prometheus", start)
    };
    let (scraped, (prometheus, base)) = if options.fleet.is_some() || options.scenario.is_some() {
        // Prometheus first: for five seconds after its start it passes no target on, and meanwhile the nodes start.
        let started = start_prometheus(exporters::discovering(options))?;
        (exporters::simulate(options, progress, run, binary)?, started)
    } else {
        let (scraped, config) = match &options.project.targets[..] {
            [] => exporters::start_exporter(options, progress, run, binary)?,
            targets => exporters::start_command(options, targets, progress, run)?,
        };
        (scraped, start_prometheus(config)?)
    };
    let mut grafana_process = None;
    let grafana = optional.grafana.try_map(|home| {
        let interval = options.scrape_interval();
        let dashboards = &options.project.dashboards;
        let (process, grafana) = grafana::start(&home, dashboards, &base, interval, options.ports, progress, run)?;
        grafana_process = Some(process);
        anyhow::Ok(grafana)
    })?;
    let Exporters { process, scenario_nodes, scraped, clients, procfs } = scraped;
    let stack = Stack {
        scraped,
        job: options.project.job.clone(),
        alertmanager,
        // Another program's dashboard may open with a data source that is not here.
        datasource: (!options.project.is_ours()).then(|| DATASOURCE.to_owned()),
        dashboard: options.project.dashboards.first().map(|dashboard| dashboard.uid.clone()),
        ..Stack::own(BTreeSet::new(), clients, Prometheus::new(base), grafana, procfs)
    };
    let alertmanager = alertmanager_running;
    Ok((stack, Parts { exporter: process, scenario_nodes, alertmanager, prometheus, grafana: grafana_process }))
}

fn start_alertmanager(
    options: &Options,
    progress: &Progress,
    run: &Run,
    program: &Path,
) -> Result<(alertmanager::Running, Alertmanager)> {
    let Some(setup) = &options.scenario else {
        let config = sink::at_once(options.project.alertmanager_config()?);
        return alertmanager::start(program, &config, options.ports, progress, run);
    };
    let intervals = sink::time_intervals(&setup.alertmanager["route"]);
    if !intervals.is_empty() {
        let names = intervals.into_iter().collect::<Vec<_>>().join("`, `");
        let note = format!("Alertmanager's time intervals (`{names}`) are those of the clock, which is not sped up");
        progress.say(Mark::Note, &note);
    }
    alertmanager::start(program, &setup.alertmanager, options.ports, progress, run)
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

/// A path in a folder for a file, with its name and one of these extensions, that no other file has.
fn free(folder: &Path, file: &Path, extensions: &[&str]) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let has_one = file.extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension));
    let name = if has_one { name.into_owned() } else { format!("{name}.{}", extensions[0]) };
    let numbered = (2..).map(|number| folder.join(format!("{number}-{name}")));
    std::iter::once(folder.join(&name)).chain(numbered).find(|path| !path.exists()).unwrap_or_default()
}
