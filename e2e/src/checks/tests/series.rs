//! `rules-find-series`.

use super::*;

/// Prometheus has `node_load` of one node with three durations, and `recorded` by a rule that it has not evaluated yet.
fn judge(rules: &str) -> Outcome {
    let loads = ["1m", "5m"].map(|duration| (json!({ "duration": duration, "job": "node" }), 1.0));
    let (one, none) = (vector(&[(json!({}), 1.0)]), vector(&[]));
    let names = plain(&json!({ "status": "success", "data": ["node_load", "up", "once:recorded"] }));
    let loaded =
        ok(&json!({ "groups": [{ "name": "g", "interval": 1, "rules": [{ "name": "Elsewhere", "health": "ok" }] }] }));
    let found = [
        r#"count(node_load{duration="5m"})"#,
        "count(node_load{})",
        "count(node_load)",
        "count(up{})",
        "count(last_over_time(up{}[3600000ms]))",
    ];
    let mut answers: Vec<(String, String)> = found.iter().map(|expr| (asking(expr), one.clone())).collect();
    answers.push((asking("group by (duration) (node_load)"), vector(&loads)));
    answers.push((asking("group by (job) (node_load)"), vector(&loads)));
    answers.push((asking("group by (zone) (node_load)"), one.clone()));
    answers.push(("/api/v1/label/__name__/values".to_owned(), names));
    answers.push((RULES.to_owned(), loaded));
    answers.push(("/api/v1/query".to_owned(), none));
    let answers = borrowed(&answers);
    let project = Project { rules: vec![RuleFile::parse("x.yml", rules).unwrap()], ..Project::default() };
    judged_by("rules-find-series", &stack(Procfs::Unseen, &answers), &project)
}

fn rules(exprs: &[&str]) -> String {
    let rule = |expr: &&str| json!({ "alert": "A", "expr": expr });
    json!({ "groups": [{ "name": "g", "rules": exprs.iter().map(rule).collect::<Vec<_>>() }] }).to_string()
}

#[test]
fn what_a_selector_does_not_find_is_named_with_the_nearest() {
    let seen = [
        r#"node_load{duration="5m"} offset 1d"#,
        "node_laod > 1",
        "nothing_like_it",
        r#"node_load{duration="5min"}"#,
        r#"node_load{zone=~"a|b"}"#,
        r#"node_load{duration="1m",job="node"}"#,
        r#"ALERTS{alertname="Elsewhere"}"#,
        r#"ALERTS{alertname=~"Gone.*"}"#,
        "up{ unknown syntax }",
    ]
    .map(|expr| judge(&rules(&[expr])));
    assert_snapshot!(shown(seen), @r#"
    pass 1 selector of 1 rule found; 0 excused by comments
    FAIL a series for every selector: last seen: 1 selector finds no series:
      `node_laod` in A: no metric `node_laod`; the nearest is `node_load`
    FAIL a series for every selector: last seen: 1 selector finds no series:
      `nothing_like_it` in A: no metric `nothing_like_it`
    FAIL a series for every selector: last seen: 1 selector finds no series:
      `node_load{duration="5min"}` in A: no series of `node_load` has duration="5min"; `duration` is 1m, 5m
    FAIL a series for every selector: last seen: 1 selector finds no series:
      `node_load{zone=~"a|b"}` in A: no series of `node_load` has a label `zone`
    FAIL a series for every selector: last seen: 1 selector finds no series:
      `node_load{duration="1m",job="node"}` in A: no series of `node_load` has all of this
    pass 1 selector of 1 rule found; 0 excused by comments
    FAIL a series for every selector: last seen: 1 selector finds no series:
      `ALERTS{alertname=~"Gone.*"}` in A: no rule has alertname=~"Gone.*", of which `ALERTS` would be
    skip not checked: `A`, whose syntax is unknown here
    "#);
}

/// What is there for series that are missing, or leaves some out, does not need them.
#[test]
fn a_selector_that_need_not_find_anything_is_not_asked_for() {
    for expr in [
        r#"absent(gone{job="x"}) or absent_over_time(gone[5m])"#,
        "sum(gone or vector(0)) > 1",
        "gone or on () (0 * vector(1))",
        "up unless gone",
        "up unless on (job) (gone)",
        r#"up{job!="gone",zone=~".*",node=""}"#,
        "resets(up[1h]) > 0",
        "ALERTS > 0 and ALERTS_FOR_STATE",
    ] {
        let outcome = judge(&rules(&[expr]));
        assert!(matches!(outcome, Outcome::Passed { .. } | Outcome::Omitted { .. }), "{expr}: {outcome:?}");
    }
    let of_a_rule = "groups: [{name: g, rules: [{record: a:b, expr: up}, {alert: A, expr: 'a:b{x=\"y\"} > 1'}]}]";
    // Such as what is recorded of a node only while it is absent.
    let of_once =
        "groups: [{name: g, rules: [{record: 'once:recorded', expr: up}, {alert: A, expr: 'once:recorded > 1'}]}]";
    let seen = [of_a_rule, of_once, &rules(&["up unless gone > 5"])].map(judge);
    assert_snapshot!(shown(seen), @"
    pass 2 selectors of 2 rules found; 0 excused by comments
    pass 2 selectors of 2 rules found; 0 excused by comments
    FAIL a series for every selector: last seen: 1 selector finds no series:
      `gone` in A: no metric `gone`
    ");
}

#[test]
fn comments_for_pint_excuse_selectors() {
    let judge = |comment: &str, expr: &str| {
        judge(&format!("groups:\n- name: g\n  rules:\n  # pint {comment}\n  - alert: A\n    expr: {expr}\n"))
    };
    let excused = [
        ("disable promql/series", "gone"),
        ("disable promql/series(gone)", "gone{a='b'} > 1"),
        ("disable promql/series(gone{a=\"b\"})", "gone{a='b',c='d'}"),
        ("disable promql/series({a=\"b\"})", "gone{a='b'}"),
        ("file/disable promql/series(gone)", "gone"),
        ("ignore/file", "gone"),
        ("rule/set promql/series ignore/label-value duration", "node_load{duration='gone'}"),
        ("rule/set promql/series(node_load) ignore/label-value duration", "node_load{duration='gone'}"),
    ];
    for (comment, expr) in excused {
        let outcome = judge(comment, expr);
        assert!(matches!(outcome, Outcome::Passed { .. }), "{comment}: {outcome:?}");
    }
    for (comment, expr) in [
        ("disable promql/series(other)", "gone"),
        ("disable promql/series(gone{a=\"c\"})", "gone{a='b'}"),
        ("disable promql/rate", "gone"),
        ("disable promql/series(prometheus server)", "gone"),
        ("rule/set promql/series(up) ignore/label-value duration", "node_load{duration='gone'}"),
    ] {
        let outcome = judge(comment, expr);
        assert!(matches!(outcome, Outcome::Failed { .. }), "{comment}: {outcome:?}");
    }
}
