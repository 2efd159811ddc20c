//! `lab scenario`: runs timelines of nodes from a file on the real pipeline, and judges whether the alerts follow.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::backend::local::scenario_nodes::{ExporterState, NodeStep};
use e2e::backend::local::{self, Local, ScenarioSetup};
use e2e::backend::{self, Backend, Ports, sweep};
use e2e::play;
use e2e::run::Run;
use e2e::scenario::Scenario;
use e2e::scenario::run::{self, Event};
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, Mark, OutError};
use e2e::terminal::progress::Progress;
use e2e::terminal::report::Format;
use e2e::wait::interrupt;
use e2e::workspace::description::Description;
use e2e::workspace::project::Project;

use crate::cli::ScenarioRun;
use crate::start::expect_file;

/// `lab scenario list`.
pub fn list() -> Result<Exit> {
    let mut rows = vec![["scenario", "lasts", "at speed 60", ""].map(str::to_owned).to_vec()];
    for scenario in Scenario::all()? {
        let length = scenario.length();
        let lasts = [length, length / 60].map(|length| humantime::format_duration(length).to_string());
        rows.push([vec![scenario.name], lasts.to_vec(), vec![scenario.title]].concat());
    }
    out::table(&rows)?;
    Ok(Exit::Ok)
}

/// `lab scenario run`.
pub fn run(args: &ScenarioRun, progress: &Progress) -> Result<Exit> {
    let files: Vec<PathBuf> = args.names.iter().filter(|name| is_file(name)).map(PathBuf::from).collect();
    if files.iter().any(|file| play::file::is_one(file)) {
        if let Some(name) = args.names.iter().find(|name| !is_file(name)) {
            return Err(
                Usage(format!("`{name}` is a scenario, and others are unit tests; run one kind at a time")).into()
            );
        }
        return crate::play::run(args, files, progress);
    }
    if args.jobs.is_some() || args.format != Format::Text {
        return Err(Usage(
            "`--jobs` and `--format` are for unit tests; a scenario is one, and has only text".to_owned(),
        )
        .into());
    }
    let [name] = &args.names[..] else {
        return Err(Usage("several scenarios at once; expected one, or files of unit tests".to_owned()).into());
    };
    let scenario = Scenario::find(name).map_err(|error| Usage(format!("{error:#}")))?;
    let project = Project::read(&Description { rules: args.rules.clone(), ..Description::default() })?.or_shipped()?;
    let setup = setup(&scenario, args.speed.of_scenario(), &project, progress)?;
    expect_file("exporter", args.exporter.as_ref())?;
    expect_file("prometheus", args.prometheus.as_ref())?;
    interrupt::listen()?;
    sweep::sweep(progress);
    let options = local::Options {
        scenario: Some(setup),
        exporter: args.exporter.clone(),
        prometheus: args.prometheus.clone(),
        ports: Ports::Any,
        ..local::Options::default()
    };
    let local = Local::start(&options, Run::create("local")?, progress)?;
    let failed = run_on(&scenario, args.speed.of_scenario(), &local, &out::line);
    if failed.as_ref().map_or(!interrupt::seen(), |failed| *failed > 0) {
        backend::save_evidence(&local, progress);
    }
    Ok(if failed? == 0 { Exit::Ok } else { Exit::Failed })
}

/// Whether an argument is a path; a plain name is that of a shipped scenario.
fn is_file(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some()
}

/// What a stack needs for a scenario; one that cannot be run by these rules at this speed is a usage error.
pub fn setup(scenario: &Scenario, speed: u32, project: &Project, progress: &Progress) -> Result<ScenarioSetup> {
    let setup = run::setup(scenario, speed, project).map_err(|error| Usage(format!("{error:#}")))?;
    for (alert, reason) in &setup.omitted {
        progress.say(Mark::Note, &format!("the alert {alert} is omitted: {reason}"));
    }
    Ok(setup)
}

/// Runs a scenario and prints what happens; returns the number of expectations that failed.
pub fn run_on(
    scenario: &Scenario,
    speed: u32,
    backend: &dyn Backend,
    print: &dyn Fn(&str) -> Result<(), OutError>,
) -> Result<usize> {
    let length = scenario.length();
    print(&format!(
        "{}: {}\n{} in {}: every duration of the scenario and of the rules, their `for`, `keep_firing_for` and windows, is \
         divided by {speed}\n",
        scenario.name,
        scenario.title,
        humantime::format_duration(length),
        humantime::format_duration(length / speed)
    ))?;
    let began = Instant::now();
    let verdicts = run::run(scenario, speed, backend, |now, event| Ok(print(&line(now, &event))?));
    let verdicts = verdicts.context("the scenario did not finish")?;
    let failed = verdicts.iter().filter(|verdict| verdict.passed.is_err()).count();
    let took = began.elapsed().as_secs_f64();
    print(&format!("\n{} passed, {failed} failed; took {took:.1} s", verdicts.len() - failed))?;
    Ok(failed)
}

fn line(now: Duration, event: &Event<'_>) -> String {
    let time = clock(now);
    match event {
        Event::Changed { node, step: NodeStep { state, uptime, load } } => {
            let load = load.map_or("no loadavg".to_owned(), |[a, b, c]| format!("load {a} {b} {c}"));
            let what = match (state, uptime) {
                (ExporterState::Answers, None) => format!("no uptime, {load}"),
                (ExporterState::Answers, Some(uptime)) => format!("uptime {uptime}, {load}"),
                (ExporterState::Hangs, _) => "the exporter hangs".into(),
                (ExporterState::Gone, _) => "the exporter is gone".into(),
                (ExporterState::Undiscovered, _) => "the target left discovery".into(),
            };
            format!("{} {time:>7}  {node}: {what}", Mark::Note)
        }
        Event::Judged(verdict) => {
            let due = clock(verdict.expectation.at);
            let (mark, seen) = match &verdict.passed {
                Ok(at) => (Mark::Pass, format!("met at {}", clock(*at))),
                Err(seen) => (Mark::Fail, format!("not met by {time}: {seen}")),
            };
            format!("{mark} {due:>7}  {}  {seen}", verdict.expectation.text)
        }
    }
}

/// A scenario's time, in minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}m{:02}s", time.as_secs() / 60, time.as_secs() % 60)
}
