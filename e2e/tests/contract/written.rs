//! The files that `just manifests` writes from others, each held against what its sources lead to.

use e2e::workspace::rules::{RULES, RuleFile};
use fs_err as fs;
use serde_json::{Value, json};

use crate::shipped::{self, DASHBOARD, NODE_LEAVING, RUNBOOK};
use crate::{assert_none, promtool};

/// Prometheus-operator's copies of the rules: of those that always apply, and of those that need kube-state-metrics.
const PROMETHEUS_RULE: &str = "kustomize/components/prometheus-rule/prometheus-rule.yaml";
const NODE_LEAVING_RULE: &str = "kustomize/components/kube-state-metrics/prometheus-rule.yaml";

/// Prometheus' configurations, of which the component tls chooses the second, and where a lab has its own.
const CONFIGS: [&str; 2] = ["prometheus.yml", "prometheus-tls.yml"];
const LAB: &str = "kustomize/components/lab";

#[test]
fn every_written_file_is_what_its_sources_lead_to() {
    let mut problems = Vec::new();
    let mut hold = |path: &str, wanted: &str| {
        if std::env::var_os("UPDATE_MANIFESTS").is_some() {
            fs::write(shipped::path(path), wanted).unwrap();
        }
        if shipped::read(path) != wanted {
            problems.push(format!("{path} is not what its sources lead to: run `just manifests`"));
        }
    };
    // First, for the others are written from these.
    for path in with_runbook_addresses() {
        hold(&path, &with_this_runbook(&shipped::read(&path)));
    }
    hold(PROMETHEUS_RULE, &prometheus_rule("mini-node-exporter", RULES, &shipped::always_loaded()));
    hold(NODE_LEAVING_RULE, &prometheus_rule("mini-node-exporter-nodes", NODE_LEAVING, &[shipped::node_leaving()]));
    for name in CONFIGS {
        hold(&format!("{LAB}/{name}"), &quick(&format!("kustomize/prometheus/{name}")));
    }
    assert_none(&problems);
}

/// Where the runbook can be read: below `repository` of the workspace's `Cargo.toml`.
pub fn runbook() -> String {
    format!("{}/blob/main/{RUNBOOK}", env!("CARGO_PKG_REPOSITORY"))
}

fn prometheus_rule(name: &str, source: &str, rules: &[RuleFile]) -> String {
    let groups: Value = rules.iter().filter_map(|file| file.groups.as_array()).flatten().cloned().collect();
    let manifest = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": name,
            "namespace": "mini-node-exporter",
            "labels": {
                "app.kubernetes.io/name": "mini-node-exporter",
                "app.kubernetes.io/part-of": "mini-node-exporter",
                "app.kubernetes.io/managed-by": "kustomize",
            },
        },
        "spec": { "groups": groups },
    });
    format!(
        "# Written by `just manifests` from {source}: change that and run it again.\n{}",
        serde_saphyr::to_string(&manifest).unwrap()
    )
}

/// A configuration with the intervals of a lab.
fn quick(source: &str) -> String {
    let interval = |line: &str| match line.trim_start().split_once(": ") {
        Some(("scrape_interval", _)) => "  scrape_interval: 2s".to_owned(),
        Some(("evaluation_interval", _)) => "  evaluation_interval: 5s".to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = shipped::read(source).lines().map(interval).collect();
    format!("# Written by `just manifests` from {source}: change that and run it again.\n{}\n", lines.join("\n"))
}

fn with_runbook_addresses() -> Vec<String> {
    let rules = [RULES.to_owned(), format!("{RULES}/tests")];
    let rules = rules.iter().flat_map(|directory| promtool::files(directory));
    rules.map(|path| shipped::name(&path)).chain([DASHBOARD.to_owned()]).collect()
}

fn with_this_runbook(text: &str) -> String {
    let addresses = regex::Regex::new(&format!(r#"https?://[^\s"]*/{}"#, regex::escape(RUNBOOK))).unwrap();
    addresses.replace_all(text, regex::NoExpand(&runbook())).into_owned()
}
