//! `exporter-ready`, `targets-up` and `one-target-per-node`.

use super::*;

#[test]
fn every_target_has_to_be_up() {
    let judge = |targets: &[Value]| judged("targets-up", &scraping(targets));
    let mut silent = target("a", "down");
    silent["lastError"] = json!("");
    let seen = [
        judge(&[target("a", "up")]),
        // That there are too many is another check's.
        judge(&[target("a", "up"), target("a", "up")]),
        judge(&[target("a", "down")]),
        judge(&[target("a", "unknown")]),
        judge(&[silent]),
        judge(&[target("b", "up")]),
    ];
    assert_snapshot!(shown(seen), @r#"
    pass 1 of 1 up
    pass 2 of 1 up
    FAIL every target up: last seen: http://a/metrics with node="a" is down (refused)
    FAIL every target up: last seen: http://a/metrics with node="a" is unknown (its scrape interval is 5m)
    FAIL every target up: last seen: http://a/metrics with node="a" is down
    FAIL every target up: last seen: no target with a label `node` for a; targets: http://b/metrics with node="b" is up
    "#);
}

#[test]
fn a_job_without_targets_is_due_to_discovery_or_relabelling() {
    let judge = |dropped: usize| {
        let mut all = vec![json!({ "discoveredLabels": { "job": JOB } }); dropped];
        all.push(json!({ "discoveredLabels": { "job": "other" } }));
        let dropped = ok(&json!({ "droppedTargets": all }));
        judged("targets-up", &stack(Procfs::Unseen, &[(ACTIVE, active(&[])), (DROPPED, dropped), (POOLS, pools(&[]))]))
    };
    assert_snapshot!(shown([0, 2].map(judge)), @"
    FAIL every target up: last seen: Prometheus has no target in job `mini-node-exporter`: its discovery finds none; see the log of Prometheus
    FAIL every target up: last seen: Prometheus has no target in job `mini-node-exporter`: its discovery finds 2, and its relabelling drops them all
    ");
}

/// In a stack of our own every job counts, in others only ours.
#[test]
fn other_jobs_count_in_a_stack_of_our_own() {
    let other = |health: &str| {
        let mut other = target("x", health);
        (other["labels"]["job"], other["scrapePool"]) = (json!("other"), json!("other"));
        other
    };
    let judge = |own: bool, targets: &[Value]| {
        let none = ok(&json!({ "droppedTargets": [] }));
        let answers = [(ACTIVE, active(targets)), (DROPPED, none), (POOLS, pools(&[JOB, "other"]))];
        judged("targets-up", &Stack { own, ..stack(Procfs::Unseen, &answers) })
    };
    let ours = target("a", "up");
    let seen = [
        judge(true, &[ours.clone(), other("up")]),
        judge(true, &[ours.clone(), other("down")]),
        judge(true, std::slice::from_ref(&ours)),
        judge(false, &[ours.clone(), other("down")]),
        judge(false, &[ours]),
    ];
    assert_snapshot!(shown(seen), @r#"
    pass 1 of 1 up
    FAIL every target up: last seen: http://x/metrics with node="x" is down (refused)
    FAIL every target up: last seen: Prometheus has no target in job `other`: its discovery finds none; see the log of Prometheus
    pass 1 of 1 up
    pass 1 of 1 up
    "#);
}

#[test]
fn a_refused_discovery_fails_although_every_target_is_up() {
    let refused = (REFUSALS, vector(&[(json!({}), 3.0)]));
    let answers = [(ACTIVE, active(&[target("a", "up")])), (POOLS, pools(&[JOB])), refused];
    assert_snapshot!(shown([judged("targets-up", &stack(Procfs::Unseen, &answers))]), @"FAIL every target up: last seen: the API server refuses Prometheus' discovery requests (403): its Role must allow get, list and watch of pods");
}

#[test]
fn each_node_has_one_target() {
    let judge = |targets: &[Value]| judged("one-target-per-node", &scraping(targets));
    let seen = [
        judge(&[target("a", "down")]),
        judge(&[]),
        judge(&[target("a", "up"), target("a", "up")]),
        judge(&[target("a", "up"), target("b", "up")]),
    ];
    assert_snapshot!(shown(seen), @r#"
    pass 1 of 1 nodes
    FAIL one target for each node: last seen: a has 0 targets; targets: none
    FAIL one target for each node: last seen: a has 2 targets; targets: http://a/metrics with node="a" is up, http://a/metrics with node="a" is up
    FAIL one target for each node: last seen: unexpected target, on no node of this stack: http://b/metrics with node="b" is up
    "#);
}

/// With 3,000 targets the answer is 16 MB, more than an HTTP client reads by itself.
#[test]
fn a_large_installation_is_checked() {
    let mut targets = vec![target("a", "up"); 3000];
    for (index, target) in targets.iter_mut().enumerate() {
        (target["labels"]["node"], target["discoveredLabels"]) = (json!(format!("n{index}")), json!("x".repeat(5000)));
    }
    let mut stack = scraping(&targets);
    stack.scraped = Scraped::Nodes((0..3001).map(|index| format!("n{index}")).collect());
    let shown = shown([judged("one-target-per-node", &stack)]);
    assert!(
        shown.starts_with("FAIL one target for each node: last seen: n3000 has 0 targets; targets: "),
        "{shown:.200}"
    );
}

#[test]
fn exporters_are_asked_where_they_can_be_reached() {
    let ready = StandIn::answering(&[("/healthz/ready", "200 x\nok")]).base;
    let sick = StandIn::answering(&[("/healthz/ready", "503 x\n/proc/uptime: empty")]).base;
    let judge = |bases: &[&String]| {
        let exporters = bases.iter().map(|base| Exporter::new(base.as_str())).collect();
        judged("exporter-ready", &Stack { exporters, ..stack(Procfs::Unseen, &[]) })
    };
    assert_snapshot!(shown([judge(&[&ready]), judge(&[&ready, &ready]), judge(&[&ready, &sick])]), @"
    pass http://ADDRESS/healthz/ready answers 200
    pass /healthz/ready of 2 exporters answers 200
    FAIL exporters that are ready: last seen: GET http://ADDRESS/healthz/ready: 503 Service Unavailable: /proc/uptime: empty
    ");
}

#[test]
fn exporters_that_cannot_be_reached_are_judged_by_their_collectors() {
    let judge = |samples: &[(&str, &str, f64)]| {
        let sample =
            |(node, collector, value): &(&str, &str, f64)| (json!({ "node": node, "collector": collector }), *value);
        let samples: Vec<_> = samples.iter().map(sample).collect();
        judged("exporter-ready", &stack(Procfs::Unseen, &[(SUCCESS, vector(&samples))]))
    };
    let seen = [
        judge(&[("a", "load", 1.0), ("a", "uptime", 1.0)]),
        judge(&[("a", "load", 0.0), ("a", "uptime", 1.0)]),
        judge(&[("b", "load", 1.0)]),
    ];
    assert_snapshot!(shown(seen), @r#"
    pass every collector succeeds on every node; cannot reach the exporters; checking through Prometheus only
    FAIL exporters that are ready: last seen: failing collectors: `load` on a
    FAIL exporters that are ready: last seen: no `node_scrape_collector_success` with node="a"
    "#);
}
