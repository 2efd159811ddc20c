//! `rules-healthy`.

use super::*;

#[test]
fn every_shipped_rule_is_loaded_and_healthy() {
    let rule = |name: &str, health: &str| json!({ "name": name, "health": health, "lastError": "no such thing" });
    let shipped = Project::shipped().unwrap();
    let names = shipped.rules.iter().flat_map(RuleFile::rules).map(Rule::name);
    let healthy: Vec<Value> = names.map(|name| rule(name, "ok")).collect();
    let (first, rest) = healthy.split_first().unwrap();
    let sick = rule(first["name"].as_str().unwrap(), "err");
    let judge = |own: bool, rules: &[Value]| {
        let rules = ok(&json!({ "groups": [{ "name": "g", "interval": 15, "rules": rules }] }));
        judged("rules-healthy", &Stack { own, ..stack(Procfs::Unseen, &[(RULES, rules)]) })
    };
    let each = |own| {
        let foreign = rule("Foreign", "err");
        let lists = [
            healthy.clone(),
            vec![],
            rest.to_vec(),
            [rest, std::slice::from_ref(&sick)].concat(),
            [&healthy[..], &[foreign]].concat(),
        ];
        let all = format!("pass {} rules", healthy.len());
        shown(lists.map(|rules| judge(own, &rules))).replace(&all, "pass all rules")
    };
    assert_snapshot!(each(true), @"
    pass all rules loaded and evaluated
    FAIL every rule healthy: last seen: Prometheus has loaded no rules
    FAIL every rule healthy: last seen: Prometheus has not loaded mini_node_exporter:rules:loaded
    FAIL every rule healthy: last seen: rule `mini_node_exporter:rules:loaded` is err no such thing
    FAIL every rule healthy: last seen: rule `Foreign` is err no such thing
    ");
    assert_snapshot!(each(false), @"
    pass all rules loaded and evaluated
    FAIL every rule healthy: last seen: Prometheus has loaded no rules
    FAIL every rule healthy: last seen: Prometheus has not loaded mini_node_exporter:rules:loaded
    FAIL every rule healthy: last seen: rule `mini_node_exporter:rules:loaded` is err no such thing
    pass all rules loaded and evaluated
    ");
}
