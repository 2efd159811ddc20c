//! `exporter-ready`, `targets-up`, `one-target-per-node`: Prometheus has the right targets, and they are up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::exporter::Exporter;
use crate::client::prometheus::{Prometheus, Target};
use crate::stack::Stack;
use crate::terminal::out;

/// Refusals in the last two minutes. A watch that is refused is tried again within one.
const REFUSED: &str = r#"increase(prometheus_sd_kubernetes_http_request_total{status_code="403"}[2m]) > 0"#;

/// Every exporter is ready; where they cannot be reached, all of their collectors succeed.
pub(super) fn exporter_ready(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let what = "exporters that are ready";
    if stack.exporters.is_empty() {
        let result = subject.poll(what, FIRST_SAMPLE, || collectors(stack));
        let seen =
            "every collector succeeds on every node; cannot reach the exporters; checking through Prometheus only";
        return Outcome::from(result.map(|()| seen.to_owned()));
    }
    let result = subject.poll(what, Duration::from_secs(20), || stack.exporters.iter().try_for_each(Exporter::ready));
    Outcome::from(result.map(|()| match &stack.exporters[..] {
        [only] => format!("{}/healthz/ready answers 200", only.base()),
        several => format!("/healthz/ready of {} exporters answers 200", several.len()),
    }))
}

/// Fails unless every collector of every node succeeded at its last scrape.
fn collectors(stack: &Stack) -> Result<()> {
    let samples = stack.prometheus.query(&format!(r#"node_scrape_collector_success{{job="{}"}}"#, stack.job))?;
    for node in stack.names() {
        let has_any = samples.iter().any(|sample| sample.node() == *node);
        ensure!(has_any, "no `node_scrape_collector_success` with node=\"{node}\"");
    }
    let failing = samples.iter().filter(|sample| sample.value < 1.0);
    let failing: Vec<String> =
        failing.map(|sample| format!("`{}` on {}", sample.label("collector"), sample.node())).collect();
    ensure!(failing.is_empty(), "failing collectors: {}", super::few(failing));
    Ok(())
}

/// Every node or instance has a target, and its last scrape succeeded; in a stack of our own so did that of every other
/// target.
pub(super) fn targets_up(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let result = subject.poll("every target up", FIRST_SAMPLE, || {
        let targets = stack.prometheus.all_targets()?;
        let is_ours = |target: &Target| target.label("job") == stack.job;
        let (ours, others): (Vec<Target>, Vec<Target>) = targets.into_iter().partition(is_ours);
        ensure!(!ours.is_empty(), "Prometheus has no target in job `{}`: {}", stack.job, none_of(stack, &stack.job));
        if stack.own {
            discovery(&stack.prometheus)?;
            for job in stack.prometheus.jobs()?.into_iter().filter(|job| *job != stack.job) {
                let has_target = others.iter().any(|target| target.scrape_pool == job);
                ensure!(has_target, "Prometheus has no target in job `{job}`: {}", none_of(stack, &job));
            }
        }
        let judged = ours.iter().chain(others.iter().filter(|_| stack.own));
        let down: Vec<String> = judged.filter(|target| target.health != "up").map(describe).collect();
        ensure!(down.is_empty(), "{}", super::few(down));
        let scraped: BTreeSet<String> = ours.iter().map(|target| stack.name_of(&target.labels)).collect();
        let missing = super::few(stack.names().difference(&scraped));
        let label = if stack.is_ours() { "node" } else { "instance" };
        ensure!(missing.is_empty(), "no target with a label `{label}` for {missing}; targets: {}", list(&ours));
        Ok(ours.len())
    });
    Outcome::from(result.map(|count| format!("{count} of {} up", stack.names().len())))
}

/// Fails if the API server refuses discovery: one that may list but not watch looks right until something changes. What
/// Prometheus cannot answer here, its other queries report.
fn discovery(prometheus: &Prometheus) -> Result<()> {
    let refused = prometheus.query(REFUSED).is_ok_and(|samples| !samples.is_empty());
    ensure!(
        !refused,
        "the API server refuses Prometheus' discovery requests (403): its Role must allow get, list and watch of pods"
    );
    Ok(())
}

/// Each node has exactly one target, and there are no others, such as a Service.
pub(super) fn one_target_per_node(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let result = subject.poll("one target for each node", Duration::from_secs(20), || count_targets(stack));
    Outcome::from(result.map(|()| format!("{0} of {0} nodes", stack.names().len())))
}

fn count_targets(stack: &Stack) -> Result<()> {
    let targets = stack.prometheus.targets(&stack.job)?;
    let mut count: BTreeMap<&str, usize> = stack.names().iter().map(|node| (node.as_str(), 0)).collect();
    for target in &targets {
        match count.get_mut(target.node().as_str()) {
            Some(count) => *count += 1,
            None => bail!("unexpected target, on no node of this stack: {}", describe(target)),
        }
    }
    let wrong: Vec<String> = count
        .iter()
        .filter(|(_, count)| **count != 1)
        .map(|(node, count)| format!("{node} has {count} targets"))
        .collect();
    ensure!(wrong.is_empty(), "{}; targets: {}", super::few(wrong), list(&targets));
    Ok(())
}

/// Why a job has no target: discovery finds none, or relabelling drops them.
fn none_of(stack: &Stack, job: &str) -> String {
    match stack.prometheus.dropped(job) {
        Ok(0) => "its discovery finds none; see the log of Prometheus".into(),
        Ok(count) => format!("its discovery finds {count}, and its relabelling drops them all"),
        Err(error) => format!("{error:#}"),
    }
}

fn list(targets: &[Target]) -> String {
    out::names(&targets.iter().map(describe).collect::<Vec<_>>())
}

fn describe(target: &Target) -> String {
    let Target { scrape_url, health, last_error, scrape_interval, .. } = target;
    let reason = match health.as_str() {
        // With an interval longer than the deadline the target looks as if it were never scraped.
        "unknown" => format!(" (its scrape interval is {scrape_interval})"),
        _ if last_error.is_empty() => String::new(),
        _ => format!(" ({last_error})"),
    };
    let node = target.node();
    let node = if node.is_empty() { node } else { format!(" with node=\"{node}\"") };
    format!("{scrape_url}{node} is {health}{reason}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::stand_in::StandIn;

    #[test]
    fn a_refused_discovery_fails_although_every_target_is_up() {
        let none: &[_] = &[("/api/v1/query", "200\n{\"data\":{\"resultType\":\"vector\",\"result\":[]}}")];
        let some: &[_] = &[(
            "/api/v1/query",
            "200\n{\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1,\"3\"]}]}}",
        )];
        let seen = |answers| discovery(&Prometheus::new(StandIn::answering(answers).base));
        assert!(seen(none).is_ok());
        assert!(seen(some).unwrap_err().to_string().starts_with("the API server refuses"));
    }
}
