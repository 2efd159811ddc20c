//! Each check fails when what it guards is broken, and names the cause: stacks whose Prometheus has another configuration.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::stacks::{Own, fails, passes};

#[test]
fn a_wrong_port_and_no_alerts() -> Result<()> {
    let own = Own::with_config(|config| {
        target(config)["targets"] = json!(["127.0.0.1:1"]);
        config["rule_files"] = json!([e2e::workspace::root().join("kustomize/prometheus/rules/thresholds.yml")]);
    })?;
    fails(&own.local, "targets-up", &["http://127.0.0.1:1/metrics", "is down", "refused"])?;
    fails(&own.local, "node-labels", &["no samples of either metric"])?;
    fails(&own.local, "uptime", &["no sample of `node_uptime` from [\"worker-1\"]"])?;
    fails(&own.local, "load", &["node_load of worker-1 has durations []"])?;
    fails(&own.local, "rules-healthy", &["Prometheus has not loaded", "MiniNodeExporterTargetDown"])
}

#[test]
fn a_relabelling_that_drops_every_target() -> Result<()> {
    let own = Own::with_config(|config| {
        config["scrape_configs"][0]["relabel_configs"] =
            json!([{ "source_labels": ["node"], "regex": "another", "action": "keep" }]);
    })?;
    fails(&own.local, "targets-up", &["no target in job", "finds 1, and its relabelling drops them all"])
}

#[test]
fn no_node_label() -> Result<()> {
    let own = Own::with_config(|config| drop(labels(config).remove("node")))?;
    fails(&own.local, "targets-up", &["no target with a label `node` for [\"worker-1\"]"])?;
    fails(&own.local, "one-target-per-node", &["a target belongs to no node of the stack"])?;
    fails(&own.local, "node-labels", &["no `node_uptime` with node=\"worker-1\""])
}

#[test]
fn a_pod_label_two_durations_and_no_rules() -> Result<()> {
    let own = Own::with_config(|config| {
        labels(config).insert("pod".into(), json!("mini-node-exporter-x7k2p"));
        config["scrape_configs"][0]["metric_relabel_configs"] =
            json!([{ "source_labels": ["duration"], "regex": "15m", "action": "drop" }]);
        config["rule_files"] = json!([]);
    })?;
    fails(&own.local, "node-labels", &["of node worker-1 has a label `pod`"])?;
    fails(&own.local, "load", &["node_load of worker-1 has durations [\"1m\", \"5m\"]"])?;
    fails(&own.local, "rules-healthy", &["Prometheus has loaded no rule"])?;
    passes(&own.local, "targets-up").map(drop)
}

#[test]
fn two_targets_without_instance_and_a_rule() -> Result<()> {
    let own = Own::with_config(|config| {
        labels(config).remove("instance");
        let targets = &mut target(config)["targets"];
        let second = targets[0].as_str().unwrap_or_default().replace("127.0.0.1", "localhost");
        *targets = json!([targets[0], second]);
        config["rule_files"] = json!([rules("failing")]);
    })?;
    fails(&own.local, "one-target-per-node", &["worker-1 has 2 targets", "http://localhost:"])?;
    fails(&own.local, "node-labels", &["of node worker-1 has instance=\"", "\", not the node's name"])?;
    fails(&own.local, "load", &["node_load of worker-1 has durations [\"1m\", \"1m\""])?;
    fails(&own.local, "rules-healthy", &["rule `broken:evaluation` is err", "regular expression"])
}

#[test]
fn a_rule_file_that_does_not_load() -> Result<()> {
    let started = Own::with_config(|config| config["rule_files"] = json!([rules("unreadable")]));
    let Err(error) = started else { anyhow::bail!("it started") };
    let error = format!("{error:#}");
    for part in ["the lab did not start; its logs are in", "prometheus ended with exit status", "unreadable.yml"] {
        ensure!(error.contains(part), "no `{part}` in: {error}");
    }
    Ok(())
}

/// The exporter's entry among the scrape targets.
fn target(config: &mut Value) -> &mut Value {
    &mut config["scrape_configs"][0]["static_configs"][0]
}

fn labels(config: &mut Value) -> &mut serde_json::Map<String, Value> {
    target(config)["labels"].as_object_mut().expect("the exporter's target has labels")
}

fn rules(name: &str) -> PathBuf {
    e2e::workspace::root().join(format!("e2e/tests/local/rules/{name}.yml"))
}
