//! A scenario played on the real thing: trees change under real exporters, and a real Prometheus with hurried rules is
//! asked what the unit test is asked.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Expectation, Scenario, hurry};
use crate::backend::Backend;
use crate::backend::local::Stage;
use crate::backend::local::cast::{Moment, State};
use crate::wait::poll::{self, Attempt};
use crate::workspace::rules::RuleFile;

/// Prometheus needs a scrape and an evaluation to see a change, and an alert may become due just after one: so many steps
/// may the real thing be behind.
const BEHIND: u32 = 5;

/// As many seconds more once targets have come or gone, for Prometheus acts on that after up to 10 s whatever the pace,
/// and ends the series two scrapes later.
const DISCOVERY: Duration = Duration::from_secs(15);

/// A busy machine is behind by this in any case.
const AT_LEAST: Duration = Duration::from_secs(5);

/// The shortest step: scrapes are as frequent, and each has to be over before the next.
const SHORTEST: Duration = Duration::from_millis(500);

/// What became of an expectation.
#[derive(Clone, Debug)]
pub struct Verdict<'s> {
    pub expectation: &'s Expectation,
    /// When it came true, in the scenario's time; or what was seen instead.
    pub came_true: Result<Duration, String>,
}

/// What is told while a scenario is played, with its own time.
pub enum Event<'e> {
    /// A node's files or its exporter changed in more than the passing of time.
    Changed {
        node: &'e str,
        moment: &'e Moment,
    },
    Judged(&'e Verdict<'e>),
}

/// What a local stack needs to play a scenario at this speed: its nodes, and the rules in a hurry.
pub fn stage(scenario: &Scenario, speed: u32, rules: &[RuleFile]) -> Result<Stage> {
    let interval = scenario.interval / speed;
    ensure!(
        interval >= SHORTEST,
        "a step of {} at speed {speed} is {} ms, and Prometheus needs {} ms for a scrape: lower the speed",
        humantime::format_duration(scenario.interval),
        interval.as_millis(),
        SHORTEST.as_millis()
    );
    let first = |life: &super::Life| Some((life.node.clone(), *life.moments.first()?));
    let rules = rules.iter().enumerate().map(|(index, file)| {
        let name =
            PathBuf::from(&file.path).file_name().map_or(format!("{index}.yml"), |name| name.to_string_lossy().into());
        anyhow::Ok((name, hurry::rules(file, speed)?))
    });
    Ok(Stage {
        nodes: scenario.lives.iter().filter_map(first).collect(),
        rules: rules.collect::<Result<_>>()?,
        interval,
    })
}

/// Plays a scenario on the stack that was started with its [`stage`], and tells what happens and what came true.
pub fn play<'s>(
    scenario: &'s Scenario,
    speed: u32,
    backend: &dyn Backend,
    mut tell: impl FnMut(Duration, Event<'_>) -> Result<()>,
) -> Result<Vec<Verdict<'s>>> {
    at_rest(backend)?;
    let cast = backend.cast().context("this lab has no stage")?;
    let began = Instant::now();
    let (mut step, mut verdicts) = (0, Vec::new());
    let mut open: Vec<&Expectation> = scenario.expectations.iter().collect();
    while step + 1 < scenario.steps() || !open.is_empty() {
        backend.alive()?;
        let now = began.elapsed() * speed;
        while step + 1 < scenario.steps() && now >= scenario.interval * u32::try_from(step + 1)? {
            step += 1;
            for life in &scenario.lives {
                let (before, moment) = (&life.moments[step - 1], &life.moments[step]);
                cast.set(&life.node, moment)?;
                if (before.state, before.load, before.uptime.is_some())
                    != (moment.state, moment.load, moment.uptime.is_some())
                {
                    tell(scenario.interval * u32::try_from(step)?, Event::Changed { node: &life.node, moment })?;
                }
            }
        }
        for expectation in open.split_off(0) {
            let late = now.saturating_sub(expectation.at) / speed;
            let came_true = match judge(backend, expectation, speed) {
                _ if now < expectation.at => {
                    open.push(expectation);
                    continue;
                }
                Ok(()) => Ok(now),
                Err(seen) if late > patience(scenario, speed, expectation.at) => Err(format!("{seen:#}")),
                Err(_) => {
                    open.push(expectation);
                    continue;
                }
            };
            let verdict = Verdict { expectation, came_true };
            tell(now, Event::Judged(&verdict))?;
            verdicts.push(verdict);
        }
        poll::pause(Duration::from_millis(50))?;
    }
    Ok(verdicts)
}

/// Waits until every node is scraped and no alert is about to fire: the time before the first scrape is no part of any
/// scenario.
fn at_rest(backend: &dyn Backend) -> Result<()> {
    let prometheus = &backend.stack().prometheus;
    let look = || {
        let up = prometheus.query("up == 1")?.iter().filter(|up| backend.stack().nodes.contains(&up.node())).count();
        ensure!(up == backend.stack().nodes.len(), "{up} of {} nodes are up", backend.stack().nodes.len());
        let alerts = prometheus.query("ALERTS")?;
        let names: Vec<&str> = alerts.iter().map(|alert| alert.label("alertname")).collect();
        ensure!(names.is_empty(), "at the first step all has to be well, and there is {}", names.join(", "));
        Ok(())
    };
    poll::until("every node scraped and at rest", Duration::from_secs(60), Duration::from_millis(100), || {
        match (look(), backend.alive()) {
            (_, Err(ended)) => Attempt::Failed(ended),
            (Ok(()), Ok(())) => Attempt::Ready(()),
            (Err(seen), Ok(())) => Attempt::NotYet(format!("{seen:#}")),
        }
    })
}

/// Fails with what is seen instead of what is expected.
fn judge(backend: &dyn Backend, expectation: &Expectation, speed: u32) -> Result<()> {
    for question in &expectation.questions {
        let samples = backend.stack().prometheus.query(&hurry::query(&question.expr, speed)?)?;
        let seen =
            samples.iter().map(|sample| format!("{} {}", super::expectation::series(&sample.labels), sample.value));
        let seen = seen.collect::<Vec<_>>().join(", ");
        ensure!(
            question.is_answered_by(&samples),
            "`{}` gives {}",
            question.expr,
            if seen.is_empty() { "nothing" } else { &seen }
        );
    }
    Ok(())
}

/// How long after its time an expectation may come true, as the clock has it.
fn patience(scenario: &Scenario, speed: u32, at: Duration) -> Duration {
    let steps = usize::try_from(at.as_millis() / scenario.interval.as_millis()).unwrap_or(usize::MAX);
    let changed = |life: &super::Life| {
        let so_far = &life.moments[..life.moments.len().min(steps + 1)];
        so_far.iter().any(|moment| moment.state == State::Undiscovered)
    };
    let discovery = if scenario.lives.iter().any(changed) { DISCOVERY } else { Duration::ZERO };
    ((scenario.interval / speed * BEHIND).max(AT_LEAST) + discovery).mul_f64(poll::patience())
}
