//! Manifests that are written from other files: prometheus-operator's copy of the alert rules.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::contract::rules::RuleFile;

/// Where the rules are, in the workspace.
pub const RULES: &str = "kustomize/prometheus/rules";

/// Where their copy is, in the workspace.
pub const PROMETHEUS_RULE: &str = "kustomize/components/prometheus-rule/prometheus-rule.yaml";

const HEADER: &str =
    "# Written by `just manifests` from ../../prometheus/rules: change those files and run it again.\n";

/// Writes the `PrometheusRule` anew from the rule files.
///
/// # Errors
///
/// A rule file cannot be read, or the manifest cannot be written.
pub fn write(workspace: &Path) -> Result<()> {
    let rules = RuleFile::read_all(&workspace.join(RULES))?;
    let path = workspace.join(PROMETHEUS_RULE);
    fs::write(&path, prometheus_rule(&rules)?).with_context(|| path.display().to_string())
}

/// The groups that the rule files should lead to: all of them, in the order of the files.
#[must_use]
pub fn groups(rules: &[RuleFile]) -> Value {
    rules.iter().filter_map(|file| file.groups.as_array()).flatten().cloned().collect()
}

fn prometheus_rule(rules: &[RuleFile]) -> Result<String> {
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
        "spec": { "groups": groups(rules) },
    });
    let yaml = serde_saphyr::to_string(&manifest).context("the rules cannot be written as YAML")?;
    Ok(format!("{HEADER}{yaml}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let text = "groups: [{name: g, rules: [{record: a, expr: \"up{a=\\\"b: #c\\\"}\\n  > 1\\n\", labels: {x: '1', y: 'yes'}}]}]";
        let rules = [RuleFile::parse("x.yml", text).unwrap()];
        let written: Value = serde_saphyr::from_str(&prometheus_rule(&rules).unwrap()).unwrap();
        assert_eq!(written["spec"]["groups"], rules[0].groups);
        assert_eq!(written["spec"]["groups"][0]["rules"][0]["labels"], json!({ "x": "1", "y": "yes" }));
    }
}
