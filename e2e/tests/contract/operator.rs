//! prometheus-operator's copy of the rules.

use e2e::manifests;
use serde_json::Value;

use crate::shipped;

#[test]
fn the_prometheus_rule_is_written_from_the_rule_files() {
    let manifest: Value = serde_saphyr::from_str(&shipped::read(manifests::PROMETHEUS_RULE)).unwrap();
    assert_eq!(
        manifest["spec"]["groups"],
        manifests::groups(&shipped::rules()),
        "{} differs from the files in {}: run `just manifests`",
        manifests::PROMETHEUS_RULE,
        manifests::RULES
    );
}
