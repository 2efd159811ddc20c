//! `exporter-ready`, `targets-up`, `one-target-per-node`: Prometheus has the right targets, and they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::exporter::Exporter;
use crate::client::prometheus::{Prometheus, Target};
use crate::stack::Stack;

/// Refusals of the last two minutes. A watch that is refused is tried again within one.
const REFUSED: &str = r#"increase(prometheus_sd_kubernetes_http_request_total{status_code="403"}[2m]) > 0"#;

/// The exporter itself says that it can read what it needs.
pub(super) fn exporter_ready(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let what = "exporters that are ready";
    if stack.exporters.is_empty() {
        let result = subject.poll(what, FIRST_SAMPLE, || collectors(stack));
        let seen = "every collector succeeds on every node; the exporters themselves cannot be reached from here";
        return Outcome::from(result.map(|()| seen.to_owned()));
    }
    let result = subject.poll(what, Duration::from_secs(20), || stack.exporters.iter().try_for_each(Exporter::ready));
    Outcome::from(result.map(|()| match &stack.exporters[..] {
        [only] => format!("{}/healthz/ready answers 200", only.base()),
        several => format!("/healthz/ready of {} exporters answers 200", several.len()),
    }))
}

/// What the exporters say of their own files, as Prometheus has it.
fn collectors(stack: &Stack) -> Result<()> {
    let samples = stack.prometheus.query(&format!(r#"node_scrape_collector_success{{job="{}"}}"#, stack.job))?;
    for node in &stack.nodes {
        let has_any = samples.iter().any(|sample| sample.node() == *node);
        ensure!(has_any, "no `node_scrape_collector_success` with node=\"{node}\"");
    }
    let failing = samples.iter().filter(|sample| sample.value < 1.0);
    let failing: Vec<String> =
        failing.map(|sample| format!("`{}` on {}", sample.label("collector"), sample.node())).collect();
    ensure!(failing.is_empty(), "collectors fail: {}", failing.join(", "));
    Ok(())
}

/// Every node's target is there and was scraped with success, and so is every target of every other scrape job.
pub(super) fn targets_up(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let result = subject.poll("every target up", FIRST_SAMPLE, || {
        let targets = stack.prometheus.all_targets()?;
        let (ours, others): (Vec<Target>, Vec<Target>) =
            targets.into_iter().partition(|target| target.label("job") == stack.job);
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
        ensure!(down.is_empty(), "{}", down.join("; "));
        let missing: Vec<&String> =
            stack.nodes.iter().filter(|node| !ours.iter().any(|target| target.node() == **node)).collect();
        ensure!(missing.is_empty(), "no target with a label `node` for {missing:?}: {}", list(&ours));
        Ok(ours.len())
    });
    Outcome::from(result.map(|count| format!("{count} of {} up", stack.nodes.len())))
}

/// A discovery that may list but not watch looks right until something changes, and is late then. A Prometheus that
/// does not answer is told of by what else it is asked.
fn discovery(prometheus: &Prometheus) -> Result<()> {
    let refused = prometheus.query(REFUSED).is_ok_and(|samples| !samples.is_empty());
    ensure!(
        !refused,
        "the API server refuses what Prometheus asks of it for discovery (403): its Role must allow to get, list and watch \
         pods"
    );
    Ok(())
}

/// Each node has exactly one target, and no other has any: a Service's name as target, for instance, fails this.
pub(super) fn one_target_per_node(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let result = subject.poll("one target for each node", Duration::from_secs(20), || look(stack));
    Outcome::from(result.map(|()| format!("{0} of {0} nodes", stack.nodes.len())))
}

fn look(stack: &Stack) -> Result<()> {
    let targets = stack.prometheus.targets(&stack.job)?;
    let mut count: BTreeMap<&str, usize> = stack.nodes.iter().map(|node| (node.as_str(), 0)).collect();
    for target in &targets {
        match count.get_mut(target.node().as_str()) {
            Some(count) => *count += 1,
            None => bail!("a target belongs to no node of the stack: {}", describe(target)),
        }
    }
    let wrong: Vec<String> = count
        .iter()
        .filter(|(_, count)| **count != 1)
        .map(|(node, count)| format!("{node} has {count} targets"))
        .collect();
    ensure!(wrong.is_empty(), "{}: {}", wrong.join(", "), list(&targets));
    Ok(())
}

/// Why there may be no target at all: whose fault it is, discovery's or relabelling's.
fn none_of(stack: &Stack, job: &str) -> String {
    match stack.prometheus.dropped(job) {
        Ok(0) => "its discovery finds none, which its log may explain".into(),
        Ok(count) => format!("its discovery finds {count}, and its relabelling drops them all"),
        Err(error) => format!("{error:#}"),
    }
}

fn list(targets: &[Target]) -> String {
    targets.iter().map(describe).collect::<Vec<_>>().join("; ")
}

fn describe(target: &Target) -> String {
    let Target { scrape_url, health, last_error, scrape_interval, .. } = target;
    let reason = match health.as_str() {
        // An interval that is longer than anybody waits looks like a target that is never scraped.
        "unknown" => format!(" (its scrape interval is {scrape_interval})"),
        _ if last_error.is_empty() => String::new(),
        _ => format!(" ({last_error})"),
    };
    format!("{scrape_url} with node=\"{}\" is {health}{reason}", target.node())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::stand_in::StandIn;

    #[test]
    fn a_refused_discovery_is_told_though_every_target_is_up() {
        let none: &[_] = &[("/api/v1/query", "200\n{\"data\":{\"resultType\":\"vector\",\"result\":[]}}")];
        let some: &[_] = &[(
            "/api/v1/query",
            "200\n{\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1,\"3\"]}]}}",
        )];
        let told = |answers| discovery(&Prometheus::new(StandIn::answering(answers).base));
        assert!(told(none).is_ok());
        assert!(told(some).unwrap_err().to_string().starts_with("the API server refuses"));
    }
}
