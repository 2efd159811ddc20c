//! `exporter-ready`, `targets-up`, `one-target-per-node`: Prometheus has the right targets, and they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::prometheus::Target;
use crate::stack::{JOB, Stack};

/// The exporter itself says that it can read what it needs.
pub(super) fn exporter_ready(subject: Subject<'_>) -> Outcome {
    let exporter = &subject.stack().exporter;
    let result = subject.poll("an exporter that is ready", Duration::from_secs(20), || exporter.ready());
    Outcome::from(result.map(|()| format!("{}/healthz/ready answers 200", exporter.base())))
}

/// Every node's target is there and was scraped with success, and so is every target of every other scrape job.
pub(super) fn targets_up(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let result = subject.poll("every target up", FIRST_SAMPLE, || {
        let targets = stack.prometheus.all_targets()?;
        // The exporter's own job first: it is what people look for.
        let others = stack.prometheus.jobs()?.into_iter().filter(|job| job != JOB);
        for job in std::iter::once(JOB.to_owned()).chain(others) {
            let has_target = targets.iter().any(|target| target.scrape_pool == job);
            ensure!(has_target, "Prometheus has no target in job `{job}`: {}", none_of(stack, &job));
        }
        let down: Vec<String> = targets.iter().filter(|target| target.health != "up").map(describe).collect();
        ensure!(down.is_empty(), "{}", down.join("; "));
        let ours: Vec<Target> = targets.into_iter().filter(|target| target.label("job") == JOB).collect();
        let missing: Vec<&String> =
            stack.nodes.iter().filter(|node| !ours.iter().any(|target| target.label("node") == *node)).collect();
        ensure!(missing.is_empty(), "no target with a label `node` for {missing:?}: {}", list(&ours));
        Ok(ours.len())
    });
    Outcome::from(result.map(|count| format!("{count} of {} up", stack.nodes.len())))
}

/// Each node has exactly one target, and no other has any: a Service's name as target, for instance, fails this.
pub(super) fn one_target_per_node(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let result = subject.poll("one target for each node", Duration::from_secs(20), || look(stack));
    Outcome::from(result.map(|()| format!("{0} of {0} nodes", stack.nodes.len())))
}

fn look(stack: &Stack) -> Result<()> {
    let targets = stack.prometheus.targets(JOB)?;
    let mut count: BTreeMap<&str, usize> = stack.nodes.iter().map(|node| (node.as_str(), 0)).collect();
    for target in &targets {
        match count.get_mut(target.label("node")) {
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
    let Target { scrape_url, health, last_error, .. } = target;
    let reason = if last_error.is_empty() { String::new() } else { format!(" ({last_error})") };
    format!("{scrape_url} with node=\"{}\" is {health}{reason}", target.label("node"))
}
