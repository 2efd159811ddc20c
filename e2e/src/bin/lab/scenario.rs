//! `lab scenario`: a node's life from a file, played on the real pipeline and judged.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::backend::local::cast::State;
use e2e::backend::local::{self, Local, Stage};
use e2e::backend::{self, Backend, Ports, sweep};
use e2e::scenario::Scenario;
use e2e::scenario::play::{self, Event};
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, Mark, OutError};
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;
use e2e::workspace::shipped::Shipped;

use crate::cli::ScenarioRun;

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
    let scenario = Scenario::find(&args.name).map_err(|error| Usage(format!("{error:#}")))?;
    let shipped = Shipped::read_from(None, args.rules.as_deref())?;
    let stage = stage(&scenario, args.speed.speed, &shipped)?;
    interrupt::listen()?;
    sweep::sweep(progress);
    let options = local::Options {
        stage: Some(stage),
        exporter: args.exporter.clone(),
        prometheus: args.prometheus.clone(),
        ports: Ports::Any,
        ..local::Options::default()
    };
    let local = Local::start(&options, progress)?;
    let failed = play(&scenario, args.speed.speed, &local, &out::line)?;
    if failed > 0 {
        backend::save_evidence(&local, progress);
    }
    Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
}

/// What a stack has to have for a scenario; a scenario or a rule that this speed is too much for is a usage error.
pub fn stage(scenario: &Scenario, speed: u32, shipped: &Shipped) -> Result<Stage> {
    Ok(play::stage(scenario, speed, &shipped.rules).map_err(|error| Usage(format!("{error:#}")))?)
}

/// Plays a scenario, telling what happens; gives the number of expectations that did not come true.
pub fn play(
    scenario: &Scenario,
    speed: u32,
    backend: &dyn Backend,
    tell: &dyn Fn(&str) -> Result<(), OutError>,
) -> Result<usize> {
    let length = scenario.length();
    tell(&format!(
        "{}: {}\n{} in {}: every duration of the scenario and of the rules, their `for`, `keep_firing_for` and windows, is \
         divided by {speed}\n",
        scenario.name,
        scenario.title,
        humantime::format_duration(length),
        humantime::format_duration(length / speed)
    ))?;
    let began = Instant::now();
    let verdicts = play::play(scenario, speed, backend, |now, event| {
        let time = clock(now);
        match event {
            Event::Changed { node, moment } => {
                let load = moment.load.map_or("no loadavg".to_owned(), |[a, b, c]| format!("load {a} {b} {c}"));
                let what = match (moment.state, moment.uptime) {
                    (State::Answers, None) => format!("no uptime, {load}"),
                    (State::Answers, Some(uptime)) => format!("uptime {uptime}, {load}"),
                    (State::Hangs, _) => "its exporter hangs".into(),
                    (State::Gone, _) => "its exporter is gone".into(),
                    (State::Undiscovered, _) => "it left discovery".into(),
                };
                tell(&format!("{} {time:>7}  {node}: {what}", Mark::Note))?;
            }
            Event::Judged(verdict) => {
                let due = clock(verdict.expectation.at);
                let (mark, seen) = match &verdict.came_true {
                    Ok(at) => (Mark::Pass, format!("true at {}", clock(*at))),
                    Err(seen) => (Mark::Fail, format!("not true by {time}: {seen}")),
                };
                tell(&format!("{mark} {due:>7}  {}  {seen}", verdict.expectation.text))?;
            }
        }
        Ok(())
    })
    .context("the scenario was not played to its end")?;
    let failed = verdicts.iter().filter(|verdict| verdict.came_true.is_err()).count();
    let took = began.elapsed().as_secs_f64();
    tell(&format!("\n{} came true, {failed} did not; played in {took:.1} s", verdicts.len() - failed))?;
    Ok(failed)
}

/// A scenario's time, in minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}m{:02}s", time.as_secs() / 60, time.as_secs() % 60)
}
