//! Runs a scenario on the real thing: trees change under real exporters, and a real Prometheus with sped-up rules is asked
//! what the unit test is asked.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Expectation, Scenario, Timeline};
use crate::backend::local::ScenarioSetup;
use crate::backend::local::scenario_nodes::{ExporterState, NodeStep};
use crate::backend::{self, Backend};
use crate::play::notation::written;
use crate::play::speed_up;
use crate::wait::poll;
use crate::workspace::project::Project;
use crate::workspace::rules::RuleFile;

/// How many steps late an expectation may be met: Prometheus needs a scrape and an evaluation to see a change, and an alert
/// may become due just after one.
const LATE: u32 = 5;

/// How much later once targets have come or gone: Prometheus acts on that after up to 10 s whatever the speed, and ends the
/// series two scrapes later.
const DISCOVERY: Duration = Duration::from_secs(15);

/// How late an expectation may be met in any case, for a busy machine.
const AT_LEAST: Duration = Duration::from_secs(5);

/// The shortest step: scrapes are as frequent, and each has to be over before the next.
const SHORTEST: Duration = Duration::from_millis(500);

/// The outcome of an expectation.
#[derive(Clone, Debug)]
pub struct Verdict<'s> {
    pub expectation: &'s Expectation,
    /// When it was met, in the scenario's time; or what was seen instead.
    pub passed: Result<Duration, String>,
}

/// What happens while a scenario runs.
pub enum Event<'e> {
    /// A node's files or its exporter changed in more than the passing of time.
    Changed {
        node: &'e str,
        step: &'e NodeStep,
    },
    Judged(&'e Verdict<'e>),
}

/// What a local stack needs to run a scenario at this speed: its nodes, and the sped-up rules.
pub fn setup(scenario: &Scenario, speed: u32, project: &Project) -> Result<ScenarioSetup> {
    let interval = speed_up::divided(scenario.interval, speed)?;
    ensure!(
        interval >= SHORTEST,
        "a step of {} at speed {speed} is {} ms, and Prometheus needs {} ms for a scrape; use a lower speed",
        humantime::format_duration(scenario.interval),
        interval.as_millis(),
        SHORTEST.as_millis()
    );
    let (mut rules, mut omitted) = (Vec::new(), Vec::new());
    for file in &project.rules {
        let sped_up = speed_up::rules(file, speed)?;
        rules.push(RuleFile::parse(&file.path, &sped_up.text)?);
        omitted.extend(sped_up.omitted);
    }
    for expectation in &scenario.expectations {
        if let Some(alert) = expectation.alert.as_deref().filter(|alert| !project.alerts().any(|name| name == *alert)) {
            bail!("{}, line {}: no rule defines the alert `{alert}`", scenario.name, expectation.line);
        }
        if let Some((alert, reason)) = omitted.iter().find(|(name, _)| expectation.alert.as_ref() == Some(name)) {
            bail!("{}, line {}: `{alert}` cannot be sped up: {reason}", scenario.name, expectation.line);
        }
    }
    let alertmanager =
        speed_up::alertmanager(&project.alertmanager_config()?, speed).context("Alertmanager's configuration")?;
    let first = |timeline: &Timeline| Some((timeline.node.clone(), *timeline.steps.first()?));
    let nodes = scenario.timelines.iter().filter_map(first).collect();
    Ok(ScenarioSetup { nodes, rules, omitted, alertmanager, interval })
}

/// Runs a scenario on the stack that was started with its [`setup`], and reports each event as it happens.
pub fn run<'s>(
    scenario: &'s Scenario,
    speed: u32,
    backend: &dyn Backend,
    mut report: impl FnMut(Duration, Event<'_>) -> Result<()>,
) -> Result<Vec<Verdict<'s>>> {
    at_rest(scenario.interval / speed, backend)?;
    let (began, wall) = (Instant::now(), SystemTime::now());
    let (mut step, mut verdicts) = (0, Vec::new());
    // Each with the time that it is asked about, first its own: a late question must not miss what was so by then.
    let mut open: Vec<(&Expectation, Duration)> = scenario.expectations.iter().map(|it| (it, it.at)).collect();
    while step + 1 < scenario.steps() || !open.is_empty() {
        backend.alive()?;
        catch_up(scenario, &mut step, began.elapsed() * speed, backend, &mut report)?;
        for (expectation, time) in open.split_off(0) {
            // Between two questions, too: slow answers must not skip a step.
            catch_up(scenario, &mut step, began.elapsed() * speed, backend, &mut report)?;
            let now = began.elapsed() * speed;
            if now < time {
                open.push((expectation, time));
                continue;
            }
            let late = time.saturating_sub(expectation.at) / speed;
            let passed = match judge(backend, expectation, speed, wall + time / speed) {
                Ok(()) => Ok(time),
                Err(seen) if late > latest(scenario, speed, expectation.at) => Err(format!("{seen:#}")),
                Err(_) => {
                    open.push((expectation, now));
                    continue;
                }
            };
            let verdict = Verdict { expectation, passed };
            report(now, Event::Judged(&verdict))?;
            verdicts.push(verdict);
        }
        poll::pause(Duration::from_millis(50))?;
    }
    Ok(verdicts)
}

/// Takes the steps that are due.
fn catch_up(
    scenario: &Scenario,
    step: &mut usize,
    now: Duration,
    backend: &dyn Backend,
    report: &mut impl FnMut(Duration, Event<'_>) -> Result<()>,
) -> Result<()> {
    while *step + 1 < scenario.steps() && now >= scenario.interval * u32::try_from(*step + 1)? {
        *step += 1;
        take_step(scenario, *step, backend, report)?;
    }
    Ok(())
}

/// Brings every node to a step.
fn take_step(
    scenario: &Scenario,
    step: usize,
    backend: &dyn Backend,
    report: &mut impl FnMut(Duration, Event<'_>) -> Result<()>,
) -> Result<()> {
    let nodes = backend.scenario_nodes().context("this lab was started without a scenario")?;
    for Timeline { node, steps } in &scenario.timelines {
        let (before, step_of_node) = (&steps[step - 1], &steps[step]);
        nodes.set(node, step_of_node)?;
        let seen = |step: &NodeStep| (step.state, step.load, step.uptime.is_some());
        if seen(before) != seen(step_of_node) {
            let time = scenario.interval * u32::try_from(step)?;
            report(time, Event::Changed { node, step: step_of_node })?;
        }
    }
    Ok(())
}

/// Waits until every node is scraped and no alert is about to fire: what happens before the first scrape is no part of a
/// scenario.
fn at_rest(interval: Duration, backend: &dyn Backend) -> Result<()> {
    let prometheus = &backend.stack().prometheus;
    let attempt = || {
        let up = prometheus.query("up == 1")?.iter().filter(|up| backend.stack().names().contains(&up.node())).count();
        ensure!(up == backend.stack().names().len(), "{up} of {} nodes are up", backend.stack().names().len());
        let alerts = prometheus.query("ALERTS")?;
        let names: Vec<&str> = alerts.iter().map(|alert| alert.label("alertname")).collect();
        ensure!(
            names.is_empty(),
            "at the first step no alert may be pending or firing; these are: {}",
            names.join(", ")
        );
        Ok(())
    };
    backend::until(backend, "every node scraped and no alert", rest(interval), attempt)
}

/// How long that may take: a scrape and an evaluation, each due within an interval, beside the start.
fn rest(interval: Duration) -> Duration {
    Duration::from_secs(60) + 3 * interval
}

/// Fails with what was seen at that time instead of what is expected.
fn judge(backend: &dyn Backend, expectation: &Expectation, speed: u32, time: SystemTime) -> Result<()> {
    for question in &expectation.questions {
        let samples = backend.stack().prometheus.query_at(&speed_up::query(&question.expr, speed)?, time)?;
        let seen = samples.iter().map(|sample| format!("{} {}", written(&sample.labels), sample.value));
        let seen = seen.collect::<Vec<_>>().join(", ");
        ensure!(
            question.is_answered_by(&samples),
            "`{}` returns {}",
            question.expr,
            if seen.is_empty() { "nothing" } else { &seen }
        );
    }
    Ok(())
}

/// How long after its time an expectation may be met, by the clock.
fn latest(scenario: &Scenario, speed: u32, at: Duration) -> Duration {
    let steps = usize::try_from(at.as_millis() / scenario.interval.as_millis()).unwrap_or(usize::MAX);
    let changed = |timeline: &Timeline| {
        let so_far = &timeline.steps[..timeline.steps.len().min(steps + 1)];
        so_far.iter().any(|step| step.state == ExporterState::Undiscovered)
    };
    let discovery = if scenario.timelines.iter().any(changed) { DISCOVERY } else { Duration::ZERO };
    ((scenario.interval / speed * LATE).max(AT_LEAST) + discovery).mul_f64(poll::patience())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At speed 1 a step is a minute, which is longer than any other start takes.
    #[test]
    fn the_first_scrape_and_evaluation_have_an_interval_each() {
        let minute = Duration::from_secs(60);
        assert!(rest(minute) > 2 * minute + Duration::from_secs(20), "{:?}", rest(minute));
    }
}
