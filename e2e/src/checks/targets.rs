//! `exporter-ready`, `targets-up`, `one-target-per-node`: Prometheus has the right targets, and they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::{FIRST_SAMPLE, poll_stack};
use crate::backend::Backend;
use crate::checks::report::Outcome;
use crate::client::prometheus::Target;
use crate::stack::{JOB, Stack};

/// The exporter itself says that it can read what it needs.
pub(super) fn exporter_ready(backend: &dyn Backend) -> Outcome {
    let exporter = &backend.stack().exporter;
    let result = poll_stack(backend, "an exporter that is ready", Duration::from_secs(20), || exporter.ready());
    Outcome::from(result.map(|()| format!("{}/healthz/ready answers 200", exporter.base())))
}

/// Every node's target is there and was scraped with success.
pub(super) fn targets_up(backend: &dyn Backend) -> Outcome {
    let stack = backend.stack();
    let result = poll_stack(backend, "every target up", FIRST_SAMPLE, || {
        let targets = stack.prometheus.targets(JOB)?;
        ensure!(!targets.is_empty(), "Prometheus has no target in job `{JOB}`: {}", none_of(stack));
        let down: Vec<String> = targets.iter().filter(|target| target.health != "up").map(describe).collect();
        ensure!(down.is_empty(), "{}", down.join("; "));
        let missing: Vec<&String> =
            stack.nodes.iter().filter(|node| !targets.iter().any(|target| target.label("node") == *node)).collect();
        ensure!(missing.is_empty(), "no target with a label `node` for {missing:?}: {}", list(&targets));
        Ok(targets.len())
    });
    Outcome::from(result.map(|count| format!("{count} of {} up", stack.nodes.len())))
}

/// Each node has exactly one target, and no other has any: a Service's name as target, for instance, fails this.
pub(super) fn one_target_per_node(backend: &dyn Backend) -> Outcome {
    let stack = backend.stack();
    let result = poll_stack(backend, "one target for each node", Duration::from_secs(20), || look(stack));
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
fn none_of(stack: &Stack) -> String {
    match stack.prometheus.dropped(JOB) {
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
