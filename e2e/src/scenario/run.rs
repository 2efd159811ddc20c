//! Runs scenarios on the real thing: trees change under real exporters, and a real Prometheus with sped-up rules is asked
//! what promtool is asked.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::expectation::listed;
use super::pages::Seen;
use super::{Expectation, Scenario, Timeline, What};
use crate::backend::local::ScenarioSetup;
use crate::backend::local::scenario_nodes::{ExporterState, NodeStep};
use crate::backend::{self, Backend};
use crate::client::prometheus::{Labels, Sample};
use crate::play::LOOKBACK;
use crate::play::remote_write::{self, Written};
use crate::play::speed_up;
use crate::stack::{Part, Stack};
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
    pub scenario: &'s Scenario,
    pub expectation: &'s Expectation,
    pub outcome: Outcome,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    /// When it was met, in the scenario's time.
    Met(Duration),
    /// What was seen instead.
    Failed(String),
    /// Why it cannot be judged.
    Skipped(String),
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

/// What a local stack needs to run scenarios at this speed: their nodes, and the sped-up rules.
pub fn setup(scenarios: &[Scenario], speed: u32, project: &Project) -> Result<ScenarioSetup> {
    let first = scenarios.first().context("no scenario")?;
    let interval = speed_up::divided(first.evaluation_interval, speed)?;
    ensure!(
        interval >= SHORTEST,
        "a step of {} at speed {speed} is {} ms, and Prometheus needs {} ms for a scrape; use a lower speed",
        humantime::format_duration(first.evaluation_interval),
        interval.as_millis(),
        SHORTEST.as_millis()
    );
    let (mut rules, mut omitted) = (Vec::new(), Vec::new());
    for path in &first.rule_files {
        let file = RuleFile::read(path)?;
        let sped_up = speed_up::rules(&file, speed)?;
        rules.push(RuleFile::parse(&file.path, &sped_up.text)?);
        omitted.extend(sped_up.omitted);
    }
    for scenario in scenarios {
        for alert in scenario.expectations.iter().flat_map(Expectation::alerts) {
            if let Some((_, reason)) = omitted.iter().find(|(name, _)| name == alert) {
                bail!("{}: `{alert}` cannot be sped up: {reason}", scenario.name);
            }
            let mut all = rules.iter().flat_map(RuleFile::rules);
            let is_known = all.any(|rule| rule.alert.as_deref() == Some(alert));
            ensure!(is_known, "{}: no rule defines the alert `{alert}`", scenario.name);
        }
    }
    let alertmanager =
        speed_up::alertmanager(&project.alertmanager_config()?, speed).context("Alertmanager's configuration")?;
    expect_receivers(scenarios, &alertmanager)?;
    let external_labels = first.external_labels.clone();
    let first = |timeline: &Timeline| Some((timeline.node.clone(), *timeline.steps.first()?));
    let timelines = scenarios.iter().flat_map(|scenario| &scenario.timelines);
    let nodes = timelines.filter_map(first).collect();
    let lookback = scenarios.iter().any(|scenario| !scenario.series.is_empty()).then_some(LOOKBACK / speed);
    Ok(ScenarioSetup { nodes, rules, omitted, alertmanager, external_labels, interval, lookback })
}

/// Fails for a receiver that Alertmanager's configuration does not have.
fn expect_receivers(scenarios: &[Scenario], config: &Value) -> Result<()> {
    let receivers = config["receivers"].as_array().into_iter().flatten();
    let receivers: Vec<&str> = receivers.filter_map(|receiver| receiver["name"].as_str()).collect();
    for scenario in scenarios {
        for expectation in &scenario.expectations {
            let What::Pages(pages) = &expectation.what else { continue };
            let Some(wanted) = pages.receiver().filter(|wanted| !receivers.contains(wanted)) else { continue };
            bail!(
                "{}: no receiver `{wanted}` in Alertmanager's configuration; there are {}",
                scenario.name,
                receivers.join(", ")
            );
        }
    }
    Ok(())
}

/// Runs scenarios at once on the stack that was started with their [`setup`], and reports each event as it happens.
pub fn run<'s>(
    scenarios: &'s [Scenario],
    speed: u32,
    backend: &dyn Backend,
    mut report: impl FnMut(&Scenario, Duration, Event<'_>) -> Result<()>,
) -> Result<Vec<Verdict<'s>>> {
    let interval = scenarios.first().context("no scenario")?.interval;
    let steps = scenarios.iter().map(Scenario::steps).max().unwrap_or_default();
    at_rest(interval / speed, backend)?;
    let (began, wall) = (Instant::now(), SystemTime::now());
    write(scenarios, 0, speed, wall, backend)?;
    let (mut step, mut verdicts) = (0, Vec::new());
    // Takes the steps that are due.
    let catch_up = |step: &mut usize, report: &mut dyn FnMut(&Scenario, Duration, Event<'_>) -> Result<()>| {
        while *step + 1 < steps && began.elapsed() * speed >= interval * u32::try_from(*step + 1)? {
            *step += 1;
            scenarios.iter().try_for_each(|scenario| take_step(scenario, *step, backend, report))?;
            write(scenarios, *step, speed, wall, backend)?;
        }
        anyhow::Ok(())
    };
    let without_alertmanager = without_alertmanager(backend.stack());
    // Each with the time that it is asked about, first its own: a late question must not miss what was so by then.
    let mut open: Vec<(&Scenario, &Expectation, Duration)> = Vec::new();
    for (scenario, expectation) in scenarios.iter().flat_map(|it| it.expectations.iter().map(move |one| (it, one))) {
        match (&expectation.what, &without_alertmanager) {
            (What::Pages(_), Some(reason)) => {
                let verdict = Verdict { scenario, expectation, outcome: Outcome::Skipped(reason.clone()) };
                report(scenario, Duration::ZERO, Event::Judged(&verdict))?;
                verdicts.push(verdict);
            }
            _ => open.push((scenario, expectation, expectation.at)),
        }
    }
    while step + 1 < steps || !open.is_empty() {
        backend.alive()?;
        catch_up(&mut step, &mut report)?;
        for (scenario, expectation, time) in open.split_off(0) {
            // Between two questions, too: slow answers must not skip a step.
            catch_up(&mut step, &mut report)?;
            let now = began.elapsed() * speed;
            if now < time {
                open.push((scenario, expectation, time));
                continue;
            }
            let late = time.saturating_sub(expectation.at) / speed;
            let outcome = match judge(backend.stack(), scenario, expectation, speed, wall..=wall + time / speed) {
                Ok(()) => Outcome::Met(time),
                Err(seen) if late > latest(scenario, speed, expectation.at) => Outcome::Failed(format!("{seen:#}")),
                Err(_) => {
                    open.push((scenario, expectation, now));
                    continue;
                }
            };
            let verdict = Verdict { scenario, expectation, outcome };
            report(scenario, now, Event::Judged(&verdict))?;
            verdicts.push(verdict);
        }
        poll::pause(Duration::from_millis(50))?;
    }
    Ok(verdicts)
}

/// Brings every node of a scenario to a step.
fn take_step(
    scenario: &Scenario,
    step: usize,
    backend: &dyn Backend,
    report: &mut dyn FnMut(&Scenario, Duration, Event<'_>) -> Result<()>,
) -> Result<()> {
    for Timeline { node, steps } in &scenario.timelines {
        let nodes = backend.scenario_nodes().context("this lab was started without a scenario")?;
        // One that is over stays as it is.
        let Some(step_of_node) = steps.get(step) else { continue };
        nodes.set(node, step_of_node)?;
        let seen = |step: &NodeStep| (step.state, step.load, step.uptime.is_some());
        if seen(&steps[step - 1]) != seen(step_of_node) {
            let time = scenario.interval * u32::try_from(step)?;
            report(scenario, time, Event::Changed { node, step: step_of_node })?;
        }
    }
    Ok(())
}

/// Writes the samples of a step, of the series that are not those of nodes.
fn write(scenarios: &[Scenario], step: usize, speed: u32, start: SystemTime, backend: &dyn Backend) -> Result<()> {
    let mut written = Vec::new();
    for scenario in scenarios {
        let time = scenario.interval * u32::try_from(step)?;
        let at = u64::try_from((start + time / speed).duration_since(UNIX_EPOCH)?.as_millis())?;
        for series in &scenario.series {
            let sample = series.samples.iter().find(|(of_sample, _)| *of_sample == time);
            written.extend(sample.map(|(_, value)| Written { labels: &series.labels, samples: vec![(at, *value)] }));
        }
    }
    if written.is_empty() { Ok(()) } else { backend.stack().prometheus.write(&remote_write::body(&written)?) }
}

/// Waits until every node is scraped and no alert is about to fire, and Prometheus has found Alertmanager: what happens
/// before is no part of a scenario. Without nodes an alert may be about what is absent.
fn at_rest(interval: Duration, backend: &dyn Backend) -> Result<()> {
    let prometheus = &backend.stack().prometheus;
    let attempt = || {
        if backend.stack().alertmanager.here().is_some() {
            ensure!(!prometheus.alertmanagers()?.is_empty(), "Prometheus has not found Alertmanager");
        }
        if backend.stack().names().is_empty() {
            return Ok(());
        }
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

/// Fails with what was seen from the first step until that time instead of what is expected.
fn judge(
    stack: &Stack,
    scenario: &Scenario,
    expectation: &Expectation,
    speed: u32,
    times: RangeInclusive<SystemTime>,
) -> Result<()> {
    let is_own = |labels: &Labels| scenario.raises(labels);
    match &expectation.what {
        What::Answer(question) => {
            let samples = stack.prometheus.query_at(&speed_up::query(&question.expr, speed)?, *times.end())?;
            let samples = samples.iter().filter(|sample| question.alert.is_none() || is_own(&sample.labels));
            let samples: Vec<&Sample> = samples.collect();
            let seen = listed(samples.iter().map(|sample| (&sample.labels, sample.value)));
            ensure!(question.is_met_by(&samples), "`{}` returns {seen}", question.expr);
            Ok(())
        }
        What::Pages(pages) => {
            let alertmanager = stack.alertmanager.here().and_then(Option::as_ref).context("no Alertmanager")?;
            pages.judge(&Seen::within(&times, alertmanager, &stack.prometheus, &is_own)?)
        }
    }
}

/// Why nothing can be seen of pages; `None` if they can.
fn without_alertmanager(stack: &Stack) -> Option<String> {
    match &stack.alertmanager {
        Part::Here(Some(_)) => None,
        Part::Missing(reason) => Some(format!("no Alertmanager: {reason}")),
        Part::Here(None) | Part::Omitted => Some("no Alertmanager: excluded on request".to_owned()),
    }
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
