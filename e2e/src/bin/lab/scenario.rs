//! `lab scenario`: plays unit tests of rules on the real pipeline, on real exporters where they are scenarios of nodes, and
//! shows promtool's verdict beside its own.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::backend::local::scenario_nodes::{ExporterState, NodeStep};
use e2e::backend::local::{self, Local, ScenarioSetup, WantedProgram};
use e2e::backend::{self, Backend, Ports, sweep};
use e2e::play::file::TestFile;
use e2e::play::{self, Mode, Played};
use e2e::run::Run;
use e2e::scenario::run::{self, Event, Outcome};
use e2e::scenario::{self, Scenario};
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, Mark, OutError};
use e2e::terminal::progress::Progress;
use e2e::terminal::report::Format;
use e2e::tools::{self, Tool};
use e2e::wait::interrupt;
use e2e::workspace::description::Description;
use e2e::workspace::project::Project;

use crate::cli::ScenarioRun;
use crate::start::expect_file;

/// `lab scenario list`.
pub fn list() -> Result<Exit> {
    let mut rows = vec![["scenario", "lasts", "at speed 60", ""].map(str::to_owned).to_vec()];
    for scenario in read(&scenario::shipped()?.iter().map(|path| TestFile::read(path)).collect::<Result<Vec<_>>>()?)? {
        let length = scenario.length();
        let lasts = [length, length / 60].map(|length| humantime::format_duration(length).to_string());
        rows.push([vec![scenario.name], lasts.to_vec(), vec![scenario.title]].concat());
    }
    out::table(&rows)?;
    Ok(Exit::Ok)
}

/// The groups of files that are played in a lab.
pub fn read(files: &[TestFile]) -> Result<Vec<Scenario>> {
    let groups = files.iter().flat_map(|file| file.groups.iter().map(move |group| (file, group)));
    let scenarios = groups.filter(|(_, group)| group.is_in_lab());
    Ok(scenarios.map(|(file, group)| Scenario::read(file, group)).collect::<Result<_>>().map_err(usage)?)
}

/// `lab scenario run`.
pub fn run(args: &ScenarioRun, progress: &Progress) -> Result<Exit> {
    let places = args.names.iter().map(|name| scenario::place(name)).collect::<Result<Vec<_>>>().map_err(usage)?;
    places.iter().try_for_each(play::file::Place::expect_file)?;
    // What cannot be read is a play that is refused.
    let files: Vec<TestFile> = places.iter().filter_map(|place| TestFile::read_at(place).ok()).collect();
    let speed = args.speed.of_scenario();
    let alertmanager_config = args.alertmanager_config.clone();
    let project = Project::read(&Description { alertmanager_config, ..Description::default() })?;
    let mut labs = Vec::new();
    for scenarios in scenario::labs(read(&files)?) {
        if let (Mode::Real, Some(scenario)) = (args.mode, scenarios.first()) {
            let place = format!("{}:{}", scenario.path.display(), scenario.line);
            return Err(Usage(format!("{place} is played in a lab; `--mode real` is for other tests")).into());
        }
        let setup = setup(&scenarios, speed, &project, progress)?;
        labs.push((scenarios, setup));
    }
    expect_file("exporter", args.exporter.as_ref())?;
    expect_file("prometheus", args.prometheus.as_ref())?;
    expect_file("alertmanager", args.alertmanager.as_ref())?;
    interrupt::listen()?;
    sweep::sweep(progress);
    let find = |tool: Tool, flag| {
        progress.step(&format!("find {}", tool.name()), |step| {
            let found = tools::find(tool, flag, step)?;
            step.came_to(found.summary());
            Ok(found)
        })
    };
    let prometheus = find(Tool::Prometheus, args.prometheus.as_deref())?;
    // Of the same version, where it lies beside.
    let beside = args.prometheus.as_ref().map(|path| path.with_file_name("promtool")).filter(|path| path.is_file());
    let promtool = find(Tool::Promtool, beside.as_deref())?;
    if prometheus.version != promtool.version {
        progress.say(Mark::Warn, "Prometheus and promtool are of different versions, and may disagree");
    }
    let print = |text: &str| {
        if args.format == Format::Text {
            out::line(text)
        } else {
            progress.line(text);
            Ok(())
        }
    };
    let began = Instant::now();
    let mut played = Vec::new();
    for (scenarios, setup) in labs {
        let alertmanager = match &args.alertmanager {
            _ if !scenarios.iter().any(Scenario::expects_pages) => None,
            Some(program) => Some(WantedProgram::File(program.clone())),
            None => Some(WantedProgram::Any),
        };
        let options = local::Options {
            alertmanager,
            scenario: Some(setup),
            exporter: args.exporter.clone(),
            prometheus: Some(prometheus.path.clone()),
            ports: Ports::Any,
            ..local::Options::default()
        };
        let local = Local::start(&options, Run::create("local")?, progress)?;
        let all = judge(&scenarios, speed, &local, &files, &promtool.path, &print);
        if all.as_ref().map_or(!interrupt::seen(), |all| all.iter().any(|one| one.live != play::Verdict::Pass)) {
            backend::save_evidence(&local, progress);
        }
        played.extend(all?);
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let options = play::Options {
        files: places,
        mode: args.mode,
        prometheus: prometheus.path,
        promtool: promtool.path,
        speed: args.speed.speed,
        jobs: args.jobs.map_or(4 * cores, usize::from),
    };
    let mut report = play::run(&options, &Run::create("local")?, &|played| drop(print(&played.line())))?;
    report.groups.splice(0..0, played);
    ensure!(!report.groups.is_empty(), "the files have no test group: nothing to play");
    let took = began.elapsed();
    out::line(&match args.format {
        Format::Text => format!("\n{}", report.summary(took)),
        Format::Json => report.json(took)?,
        Format::Junit => report.junit()?,
    })?;
    Ok(report.exit())
}

/// What a stack needs for scenarios; some that cannot be run at this speed are a usage error.
pub fn setup(scenarios: &[Scenario], speed: u32, project: &Project, progress: &Progress) -> Result<ScenarioSetup> {
    let setup = run::setup(scenarios, speed, project).map_err(usage)?;
    for (alert, reason) in &setup.omitted {
        progress.say(Mark::Note, &format!("the alert {alert} is omitted: {reason}"));
    }
    Ok(setup)
}

/// Has both judges look at scenarios, and prints what happens.
fn judge(
    scenarios: &[Scenario],
    speed: u32,
    backend: &dyn Backend,
    files: &[TestFile],
    promtool: &Path,
    print: &dyn Fn(&str) -> Result<(), OutError>,
) -> Result<Vec<Played>> {
    let began = Instant::now();
    let judged = run_on(scenarios, speed, backend, print)?;
    let seconds = began.elapsed().as_secs_f64();
    print("")?;
    let here = std::env::current_dir().unwrap_or_default();
    let mut all = Vec::new();
    for (scenario, judged) in scenarios.iter().zip(judged) {
        let place = |file: &TestFile| {
            let index = file.groups.iter().position(|group| group.line == scenario.line);
            index.filter(|_| file.path == scenario.path)
        };
        let (file, index) = files.iter().find_map(|file| Some((file, place(file)?))).context("no test group")?;
        let (promtool, promtool_said) = play::promtool(promtool, backend.run(), file, index)?;
        let played = Played {
            file: scenario.path.strip_prefix(&here).unwrap_or(&scenario.path).display().to_string(),
            line: scenario.line,
            // One of other series is played alone, too.
            name: if scenario.series.is_empty() {
                scenario.title.clone()
            } else {
                format!("{} (in a lab)", scenario.title)
            },
            promtool,
            live: judged.verdict(),
            speed: Some(speed),
            plays: 1,
            seconds,
            reasons: [judged.failed, judged.skipped].concat(),
            findings: Vec::new(),
            promtool_said,
        };
        print(&played.line())?;
        all.push(played);
    }
    Ok(all)
}

/// Runs scenarios and prints what happens; returns what became of each.
pub fn run_on(
    scenarios: &[Scenario],
    speed: u32,
    backend: &dyn Backend,
    print: &dyn Fn(&str) -> Result<(), OutError>,
) -> Result<Vec<Judged>> {
    for scenario in scenarios {
        let [length, at_speed] = [scenario.length(), scenario.length() / speed].map(humantime::format_duration);
        let title = if scenario.title.is_empty() { String::new() } else { format!(": {}", scenario.title) };
        print(&format!("{}: {length} in {at_speed}{title}", scenario.name))?;
    }
    print(&format!(
        "Every duration of tests and rules, their `for`, `keep_firing_for` and windows, is divided by {speed}.\n"
    ))?;
    let is_one = scenarios.len() == 1;
    let verdicts = run::run(scenarios, speed, backend, |scenario, now, event| {
        let name = if is_one { String::new() } else { format!("{}: ", scenario.name) };
        Ok(print(&line(&name, now, &event))?)
    });
    let verdicts = verdicts.context("the scenarios did not finish")?;
    let of = |scenario: &Scenario| {
        let mut judged = Judged::default();
        for verdict in verdicts.iter().filter(|verdict| std::ptr::eq(verdict.scenario, scenario)) {
            let what = format!("{} at {}", verdict.expectation.text, clock(verdict.expectation.at));
            match &verdict.outcome {
                Outcome::Met(_) => {}
                Outcome::Failed(seen) => judged.failed.push(format!("{what}: {seen}")),
                Outcome::Skipped(reason) => judged.skipped.push(format!("{what}: {reason}")),
            }
        }
        judged
    };
    Ok(scenarios.iter().map(of).collect())
}

/// What is not as it is expected of a scenario, and what could not be judged.
#[derive(Default)]
pub struct Judged {
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Judged {
    fn verdict(&self) -> play::Verdict {
        match (&self.failed[..], &self.skipped[..]) {
            ([], []) => play::Verdict::Pass,
            ([], _) => play::Verdict::Inconclusive,
            _ => play::Verdict::Fail,
        }
    }
}

fn line(name: &str, now: Duration, event: &Event<'_>) -> String {
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
            let (mark, seen) = match &verdict.outcome {
                Outcome::Met(at) => (Mark::Pass, format!("met at {}", clock(*at))),
                Outcome::Failed(seen) => (Mark::Fail, format!("not met by {time}: {seen}")),
                Outcome::Skipped(reason) => (Mark::Skip, reason.clone()),
            };
            format!("{mark} {due:>7}  {name}{}  {seen}", verdict.expectation.text)
        }
    }
}

/// A scenario's time, in minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}m{:02}s", time.as_secs() / 60, time.as_secs() % 60)
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes it so")]
fn usage(error: anyhow::Error) -> Usage {
    Usage(format!("{error:#}"))
}
