//! prometheus-operator's copy of the rules.

use e2e::contract::manifests;
use serde_json::Value;

use crate::{assert_none, shipped};

#[test]
fn the_prometheus_rule_is_written_from_the_rule_files() {
    let manifest: Value = serde_saphyr::from_str(&shipped::read(manifests::PROMETHEUS_RULE)).unwrap();
    let (copied, wanted) = (&manifest["spec"]["groups"], &manifests::groups(&shipped::rules()));
    if copied == wanted {
        return;
    }
    let (copied, wanted) = (rules(copied), rules(wanted));
    let differ = |rule: &&Value| !copied.contains(rule);
    let names = wanted.iter().copied().filter(differ).map(|rule| rule.get("alert").or_else(|| rule.get("record")));
    let mut problems: Vec<_> = names.flatten().map(|name| format!("{name} differs")).collect();
    problems.push(format!(
        "{} is not what the files in {} lead to: run `just manifests`",
        manifests::PROMETHEUS_RULE,
        manifests::RULES
    ));
    assert_none(&problems);
}

fn rules(groups: &Value) -> Vec<&Value> {
    let groups = groups.as_array().into_iter().flatten();
    groups.filter_map(|group| group["rules"].as_array()).flatten().collect()
}
