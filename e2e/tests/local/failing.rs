//! Each check fails when what it guards is broken, and names the cause.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use e2e::client::exporter::Exporter;
use e2e::stack::Procfs;
use serde_json::{Value, json};

use crate::lab::{Lab, fixture};
use crate::stacks::{Altered, CASE, Own, fails, passes};

pub fn an_exporter_that_does_not_answer() -> Result<()> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let altered = Altered::shared(|stack| stack.exporter = Exporter::new(format!("http://{address}")))?;
    fails(&altered, "exporter-ready", &[&format!("{address}/healthz/ready"), "refused"])
}

pub fn a_node_without_a_target() -> Result<()> {
    let altered = Altered::shared(|stack| stack.nodes.extend(["worker-2".to_owned()]))?;
    fails(&altered, "targets-up", &["no target with a label `node` for [\"worker-2\"]"])?;
    fails(&altered, "one-target-per-node", &["worker-2 has 0 targets"])?;
    fails(&altered, "node-labels", &["no `node_uptime` with node=\"worker-2\""])?;
    fails(&altered, "uptime", &["no sample of `node_uptime` from [\"worker-2\"]"])?;
    fails(&altered, "load", &["node_load of worker-2 has durations []"])
}

pub fn a_node_of_another_name() -> Result<()> {
    let altered = Altered::shared(|stack| stack.nodes = ["worker-2".into()].into())?;
    fails(&altered, "one-target-per-node", &["a target belongs to no node of the stack", "node=\"worker-1\""])?;
    fails(&altered, "node-labels", &["no `node_uptime` with node=\"worker-2\"", "node_uptime{node=\"worker-1\"}"])
}

pub fn values_that_differ_from_the_tree() -> Result<()> {
    let lab = Lab::new()?;
    let tree = lab.tree(CASE)?;
    fs::write(tree.join("uptime"), "1761.78 6531.02\n")?;
    fs::write(tree.join("loadavg"), "0.57 0.80 0.78 2/816 12345\n")?;
    let altered = Altered::shared(|stack| stack.procfs = Procfs::Fixture(tree))?;
    fails(&altered, "uptime", &["node_uptime of worker-1 is 1761.77", "says 1761.78"])?;
    fails(&altered, "load", &["node_load of worker-1 is [0.57, 0.8, 0.77]", "showed [[0.57, 0.8, 0.78]]"])
}

/// An exporter that shows another figure than the uptime, such as the idle time beside it.
pub fn an_uptime_that_is_not_the_kernels() -> Result<()> {
    let altered = Altered::shared(|stack| stack.procfs = Procfs::Live("/proc".into()))?;
    fails(&altered, "uptime", &["node_uptime of worker-1 is 1761.77, and the kernel says"])
}

/// A fixture tree where a live one is expected: its uptime agrees, and does not grow.
pub fn an_uptime_that_stands_still() -> Result<()> {
    let altered = Altered::shared(|stack| stack.procfs = Procfs::Live(fixture(CASE)))?;
    fails(&altered, "uptime", &["uptime growing", "node_uptime of worker-1 is 1761.77 and was 1761.77 before"])
}

pub fn a_wrong_port_and_no_alerts() -> Result<()> {
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

pub fn a_relabelling_that_drops_every_target() -> Result<()> {
    let own = Own::with_config(|config| {
        config["scrape_configs"][0]["relabel_configs"] =
            json!([{ "source_labels": ["node"], "regex": "another", "action": "keep" }]);
    })?;
    fails(&own.local, "targets-up", &["no target in job", "finds 1, and its relabelling drops them all"])
}

pub fn no_node_label() -> Result<()> {
    let own = Own::with_config(|config| drop(labels(config).remove("node")))?;
    fails(&own.local, "targets-up", &["no target with a label `node` for [\"worker-1\"]"])?;
    fails(&own.local, "one-target-per-node", &["a target belongs to no node of the stack"])?;
    fails(&own.local, "node-labels", &["no `node_uptime` with node=\"worker-1\""])
}

pub fn a_pod_label_two_durations_and_no_rules() -> Result<()> {
    let own = Own::with_config(|config| {
        labels(config).insert("pod".into(), json!("mini-node-exporter-x7k2p"));
        config["scrape_configs"][0]["metric_relabel_configs"] =
            json!([{ "source_labels": ["duration"], "regex": "15m", "action": "drop" }]);
        config["rule_files"] = json!([]);
    })?;
    fails(&own.local, "node-labels", &["of node worker-1 has labels that nobody asked for: [\"pod\"]"])?;
    fails(&own.local, "load", &["node_load of worker-1 has durations [\"1m\", \"5m\"]"])?;
    fails(&own.local, "rules-healthy", &["Prometheus has loaded no rule"])?;
    passes(&own.local, "targets-up").map(drop)
}

pub fn two_targets_without_instance_and_a_rule() -> Result<()> {
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

pub fn a_rule_file_that_does_not_load() -> Result<()> {
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
