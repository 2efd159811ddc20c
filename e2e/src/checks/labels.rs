//! `node-labels`: every sample has the labels by which the dashboard and the rules tell nodes apart.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::prometheus::Sample;
use crate::stack::Stack;

/// The labels of the node metrics, apart from their name and `duration`. No `pod` label: it would end the series at
/// each roll-out.
const LABELS: [&str; 4] = ["hostname", "instance", "job", "node"];

/// `node`, `instance` and `hostname` are the node's name on every sample, and no other label is there.
pub(super) fn node_labels(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let result = subject.poll("the labels of every node's samples", FIRST_SAMPLE, || check_all(stack));
    Outcome::from(result.map(|count| format!("{count} series with node = instance = hostname, job = {}", stack.job)))
}

fn check_all(stack: &Stack) -> Result<usize> {
    let samples = stack.prometheus.query(&format!(r#"{{__name__=~"node_uptime|node_load",job="{}"}}"#, stack.job))?;
    let seen: BTreeSet<(String, &str)> =
        samples.iter().map(|sample| (sample.node(), sample.label("__name__"))).collect();
    for node in stack.names() {
        for metric in ["node_uptime", "node_load"] {
            ensure!(
                seen.contains(&(node.clone(), metric)),
                "no `{metric}` with node=\"{node}\"; Prometheus has {}",
                nodes(&samples)
            );
        }
    }
    for sample in &samples {
        check(stack, sample)?;
    }
    Ok(samples.len())
}

fn check(stack: &Stack, sample: &Sample) -> Result<()> {
    let (metric, node) = (sample.label("__name__"), sample.label("node"));
    ensure!(
        stack.names().contains(&sample.node()),
        "`{metric}` has node=\"{}\": not a node of this stack",
        sample.node()
    );
    for label in ["instance", "hostname"] {
        let value = sample.label(label);
        ensure!(value == node, "`{metric}` of node {node} has {label}=\"{value}\"; expected the node's name");
    }
    ensure!(
        sample.label("pod").is_empty(),
        "`{metric}` of node {node} has a label `pod`: its series ends at each roll-out"
    );
    if !stack.own {
        // Other stacks may add labels such as a namespace.
        return Ok(());
    }
    let mut wanted: Vec<&str> = LABELS.into_iter().chain(["__name__"]).collect();
    // Where the stack's nodes have a cluster, their samples have it too; and those of Kubernetes have a namespace.
    wanted.extend(["cluster", "namespace"].into_iter().filter(|label| !sample.label(label).is_empty()));
    if metric == "node_load" {
        wanted.push("duration");
    }
    let extra: Vec<&String> = sample.labels.keys().filter(|label| !wanted.contains(&label.as_str())).collect();
    ensure!(extra.is_empty(), "`{metric}` of node {node} has unexpected labels: {extra:?}");
    Ok(())
}

fn nodes(samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "no samples of `node_uptime` or `node_load`".into();
    }
    super::few(samples.iter().map(|sample| format!("{}{{node=\"{}\"}}", sample.label("__name__"), sample.node())))
}
