//! prometheus-operator's copy of the rules, which `just manifests` writes anew.

use std::fs;

use e2e::workspace::rules::{RULES, RuleFile};
use serde_json::{Value, json};

use crate::{assert_none, shipped};

const PROMETHEUS_RULE: &str = "kustomize/components/prometheus-rule/prometheus-rule.yaml";

const HEADER: &str =
    "# Written by `just manifests` from ../../prometheus/rules: change those files and run it again.\n";

#[test]
fn the_prometheus_rule_is_written_from_the_rule_files() {
    let rules = shipped::rules();
    let wanted: Value = rules.iter().filter_map(|file| file.groups.as_array()).flatten().cloned().collect();
    if std::env::var_os("UPDATE_MANIFESTS").is_some() {
        fs::write(shipped::path(PROMETHEUS_RULE), manifest(&wanted)).unwrap();
    }
    let copy: Value = serde_saphyr::from_str(&shipped::read(PROMETHEUS_RULE)).unwrap();
    let (copied, wanted) = (flat(&copy["spec"]["groups"]), flat(&wanted));
    let name = |rule: &&Value| rule.get("alert").or_else(|| rule.get("record")).cloned().unwrap_or_default();
    let differing =
        wanted.iter().filter(|rule| !copied.contains(rule)).chain(copied.iter().filter(|rule| !wanted.contains(rule)));
    let mut problems: Vec<String> = differing.map(|rule| format!("{} differs", name(rule))).collect();
    if copied != wanted {
        problems.push(format!("{PROMETHEUS_RULE} is not what the files in {RULES} lead to: run `just manifests`"));
    }
    assert_none(&problems);
}

#[test]
fn what_is_written_reads_back_the_same() {
    let text = "groups: [{name: g, rules: [{record: a, expr: \"up{a=\\\"b: #c\\\"}\\n  > 1\\n\", labels: {x: '1', y: 'yes'}}]}]";
    let file = RuleFile::parse("x.yml", text).unwrap();
    let written: Value = serde_saphyr::from_str(&manifest(&file.groups)).unwrap();
    assert_eq!(written["spec"]["groups"], file.groups);
    assert_eq!(written["spec"]["groups"][0]["rules"][0]["labels"], json!({ "x": "1", "y": "yes" }));
}

fn manifest(groups: &Value) -> String {
    let manifest = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "mini-node-exporter",
            "namespace": "mini-node-exporter",
            "labels": {
                "app.kubernetes.io/name": "mini-node-exporter",
                "app.kubernetes.io/part-of": "mini-node-exporter",
            },
        },
        "spec": { "groups": groups },
    });
    format!("{HEADER}{}", serde_saphyr::to_string(&manifest).unwrap())
}

fn flat(groups: &Value) -> Vec<&Value> {
    let groups = groups.as_array().into_iter().flatten();
    groups.filter_map(|group| group["rules"].as_array()).flatten().collect()
}
