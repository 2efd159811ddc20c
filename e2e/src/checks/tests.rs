//! Each check on both sides of the line between passing and failing, by answers of a Prometheus and a Grafana. What the
//! real ones answer is shown by the local tier.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fs_err as fs;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::report::Outcome;
use super::{CHECKS, Choice, Subject, names, run, run_one};
use crate::backend::stand_in::StandIn as Backend;
use crate::client::exporter::Exporter;
use crate::client::grafana::Grafana;
use crate::client::prometheus::Prometheus;
use crate::client::stand_in::StandIn;
use crate::stack::{JOB, Part, Procfs, Stack};
use crate::workspace::dashboard::{self, Dashboard};
use crate::workspace::rules::{Rule, RuleFile};
use crate::workspace::shipped::Shipped;

const UPTIME: &str = "/api/v1/query?query=node_uptime";
const LOAD: &str = "/api/v1/query?query=node_load";
const BOTH: &str = "/api/v1/query?query=%7B__name__";
const SUCCESS: &str = "/api/v1/query?query=node_scrape_collector_success";
const REFUSALS: &str = "/api/v1/query?query=increase";
const TIME: &str = "/api/v1/query?query=time";
const ACTIVE: &str = "/api/v1/targets?state=active";
const DROPPED: &str = "/api/v1/targets?state=dropped";
const POOLS: &str = "/api/v1/scrape_pools";
const RULES: &str = "/api/v1/rules";

/// What Prometheus answers to a query that it cannot parse.
const BAD: &str = "400 x\n{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}";

// Uptime.

#[test]
fn on_a_fixture_the_uptime_is_exact() {
    let judge = |seen: f64| {
        let tree = tree("1761.77 1.0\n", "");
        judged("uptime", &stack(Procfs::Fixture(tree.path().into()), &[(UPTIME, uptimes(&[seen]))]))
    };
    assert_snapshot!(shown([1761.77, 1761.76, 1761.78].map(judge)), @"
    pass a 1761.77 s, exactly the fixture's value
    FAIL the fixture's uptime: last seen: node_uptime of a is 1761.76, but the fixture's uptime says 1761.77
    FAIL the fixture's uptime: last seen: node_uptime of a is 1761.78, but the fixture's uptime says 1761.77
    ");
}

#[test]
fn a_live_uptime_is_within_five_seconds_of_the_kernels_and_grows() {
    let judge = |(first, second)| {
        let tree = tree("1000.00 1.0\n", "");
        let answers = [(UPTIME, uptimes(&[first])), (UPTIME, uptimes(&[second]))];
        judged("uptime", &stack(Procfs::Live(tree.path().into()), &answers))
    };
    let scrapes =
        [(995.0, 995.5), (1005.0, 1005.5), (994.0, 994.5), (1006.0, 1006.5), (1000.0, 1000.0), (1000.0, 999.5)];
    assert_snapshot!(shown(scrapes.map(judge)), @"
    pass a 995.5 s, growing
    pass a 1005.5 s, growing
    FAIL the kernel's uptime: last seen: node_uptime of a is 994, but the kernel says 1000
    FAIL the kernel's uptime: last seen: node_uptime of a is 1006, but the kernel says 1000
    FAIL uptime growing: last seen: node_uptime of a is 1000 and was 1000 before
    FAIL uptime growing: last seen: node_uptime of a is 999.5 and was 1000 before
    ");
}

/// Growth by a second a second, within five, up to now, and reboots.
#[test]
fn an_uptime_that_cannot_be_compared_grows_with_the_time() {
    // Prometheus' clock does not begin with the test's.
    let judge = |(values, now): (&[(f64, f64)], f64)| {
        let values: Vec<(f64, f64)> = values.iter().map(|(time, value)| (time + 5000.0, *value)).collect();
        let history = history(&json!({ "node": "a" }), &values);
        judged("uptime", &stack(Procfs::Unseen, &[(UPTIME, history), (TIME, scalar(now + 5000.0))]))
    };
    let good: [(&[_], f64); 6] = [
        (&[(0.0, 100.0), (10.0, 115.0)], 10.0),
        (&[(0.0, 100.0), (10.0, 105.0)], 10.0),
        (&[(0.0, 100.0), (10.0, 110.0)], 35.0),
        (&[(0.0, 1000.0), (10.0, 1.0)], 10.0),
        (&[(0.0, 1000.0), (10.0, 10.0)], 10.0),
        (&[(0.0, 1000.0), (10.0, 15.0)], 10.0),
    ];
    assert_snapshot!(shown(good.map(judge)), @"
    pass a 115 s, growing; the node's /proc cannot be reached; not compared
    pass a 105 s, growing; the node's /proc cannot be reached; not compared
    pass a 110 s, growing; the node's /proc cannot be reached; not compared
    pass a 1 s, growing; the node's /proc cannot be reached; not compared
    pass a 10 s, growing; the node's /proc cannot be reached; not compared
    pass a 15 s, growing; the node's /proc cannot be reached; not compared
    ");
    let bad: [(&[_], f64); 8] = [
        (&[(0.0, 100.0), (10.0, 116.0)], 10.0),
        (&[(0.0, 100.0), (10.0, 104.0)], 10.0),
        (&[(0.0, 100.0), (4.0, 100.0)], 4.0),
        (&[(0.0, 10.0), (10.0, 10.0)], 10.0),
        (&[(0.0, 1000.0), (10.0, 16.0)], 10.0),
        (&[(0.0, 100.0), (10.0, 110.0)], 36.0),
        (&[(0.0, 100.0)], 0.0),
        (&[], 0.0),
    ];
    assert_snapshot!(shown(bad.map(judge)), @"
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by 16.0 in 10.0 s
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by 4.0 in 10.0 s
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by 0.0 in 4.0 s
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by 0.0 in 10.0 s
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a grew by -984.0 in 10.0 s
    FAIL uptime growing in the last ten minutes: last seen: the newest node_uptime of a is 26 s old, more than two scrape intervals
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a has 1 sample in the last ten minutes; expected two or more
    FAIL uptime growing in the last ten minutes: last seen: node_uptime of a has 0 samples in the last ten minutes; expected two or more
    ");
}

#[test]
fn a_node_without_an_uptime_is_named() {
    let tree = tree("1.0 1.0\n", "");
    let mut stack = stack(Procfs::Fixture(tree.path().into()), &[(UPTIME, uptimes(&[1.0]))]);
    stack.nodes.insert("b".into());
    assert_snapshot!(shown([judged("uptime", &stack)]), @"FAIL the fixture's uptime: last seen: no sample of `node_uptime` from b");
}

// Load.

#[test]
fn the_three_loads_are_those_of_the_tree() {
    let judge = |loads: &[(&str, f64)]| {
        let tree = tree("", "0.57 0.80 0.77 2/816 12345\n");
        judged("load", &stack(Procfs::Fixture(tree.path().into()), &[(LOAD, self::loads(loads))]))
    };
    let right @ [one, five, fifteen] = [("1m", 0.57), ("5m", 0.8), ("15m", 0.77)];
    let seen = [
        judge(&right),
        judge(&[("1m", 0.8), ("5m", 0.57), fifteen]),
        judge(&[one, five]),
        judge(&[one, five, fifteen, fifteen]),
        judge(&[one, five, ("1h", 0.77)]),
    ];
    assert_snapshot!(shown(seen), @r#"
    pass a 0.57 0.8 0.77, as in `loadavg`
    FAIL the loads of `loadavg`: last seen: node_load of a is [0.8, 0.57, 0.77], but `loadavg` said [[0.57, 0.8, 0.77]]
    FAIL the loads of `loadavg`: last seen: node_load of a has durations ["1m", "5m"]; expected ["1m", "5m", "15m"]
    FAIL the loads of `loadavg`: last seen: node_load of a has durations ["1m", "5m", "15m", "15m"]; expected ["1m", "5m", "15m"]
    FAIL the loads of `loadavg`: last seen: node_load of a has durations ["1h", "1m", "5m"]; expected ["1m", "5m", "15m"]
    "#);
}

#[test]
fn a_load_that_cannot_be_compared_is_a_number_of_0_or_more() {
    let judge = |load: f64| {
        let loads = loads(&[("1m", 1.0), ("5m", load), ("15m", 1.0)]);
        judged("load", &stack(Procfs::Unseen, &[(LOAD, loads)]))
    };
    assert_snapshot!(shown([0.0, 7000.0, -0.01, f64::NAN, f64::INFINITY].map(judge)), @"
    pass a 1 0 1, plausible; the node's /proc cannot be reached; not compared
    pass a 1 7000 1, plausible; the node's /proc cannot be reached; not compared
    FAIL the loads of `loadavg`: last seen: node_load of a is [1.0, -0.01, 1.0]; expected finite numbers of 0 or more
    FAIL the loads of `loadavg`: last seen: node_load of a is [1.0, NaN, 1.0]; expected finite numbers of 0 or more
    FAIL the loads of `loadavg`: last seen: node_load of a is [1.0, inf, 1.0]; expected finite numbers of 0 or more
    ");
}

/// The kernel may have made a new reading since the scrape.
#[test]
fn the_last_four_readings_are_kept() {
    let mut shown = super::load::Shown::default();
    for reading in [1.0, 2.0, 2.0, 3.0, 4.0, 5.0] {
        super::load::remember(&mut shown, [reading; 3]);
    }
    assert_eq!(Vec::from(shown), [2.0, 3.0, 4.0, 5.0].map(|reading| [reading; 3]));
}

// Targets.

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
    stack.nodes = (0..3001).map(|index| format!("n{index}")).collect();
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

// Labels.

#[test]
fn labels_are_the_nodes_name_and_no_others() {
    let judge = |own: bool, change: fn(&mut Value)| {
        let mut labels = labels("node_uptime", "a");
        change(&mut labels);
        let samples = vector(&[(labels, 1.0), (self::labels("node_load", "a"), 1.0)]);
        judged("node-labels", &Stack { own, ..stack(Procfs::Unseen, &[(BOTH, samples)]) })
    };
    let changes: [fn(&mut Value); 6] = [
        |_| (),
        |it| it["instance"] = json!("a:23333"),
        |it| it["hostname"] = json!("pod-1"),
        |it| it["pod"] = json!("x7k2p"),
        |it| it["node"] = json!("b"),
        |it| it["__name__"] = json!("node_load"),
    ];
    let own = shown(changes.map(|change| judge(true, change)));
    assert_snapshot!(own, @r#"
    pass 2 series with node = instance = hostname, job = mini-node-exporter
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has instance="a:23333"; expected the node's name
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has hostname="pod-1"; expected the node's name
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has a label `pod`: its series ends at each roll-out
    FAIL the labels of every node's samples: last seen: no `node_uptime` with node="a"; Prometheus has node_uptime{node="b"}, node_load{node="a"}
    FAIL the labels of every node's samples: last seen: no `node_uptime` with node="a"; Prometheus has node_load{node="a"}, node_load{node="a"}
    "#);
    assert_eq!(shown(changes.map(|change| judge(false, change))), own);
    // Other stacks may add labels; a duration is for loads alone.
    let additions: [fn(&mut Value); 2] = [|it| it["zone"] = json!("z"), |it| it["duration"] = json!("1m")];
    assert_snapshot!(shown(additions.map(|add| judge(true, add))), @r#"
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has unexpected labels: ["zone"]
    FAIL the labels of every node's samples: last seen: `node_uptime` of node a has unexpected labels: ["duration"]
    "#);
    assert_snapshot!(shown(additions.map(|add| judge(false, add))), @"
    pass 2 series with node = instance = hostname, job = mini-node-exporter
    pass 2 series with node = instance = hostname, job = mini-node-exporter
    ");
}

#[test]
fn a_node_of_a_cluster_has_its_label_and_other_nodes_are_refused() {
    let judge = |node: &str, samples: &[Value]| {
        let samples: Vec<_> = samples.iter().map(|labels| (labels.clone(), 1.0)).collect();
        let nodes = [node.to_owned()].into();
        judged("node-labels", &Stack { nodes, ..stack(Procfs::Unseen, &[(BOTH, vector(&samples))]) })
    };
    let of = |node: &str| ["node_uptime", "node_load"].map(|name| labels(name, node));
    let mut clustered = of("a");
    for labels in &mut clustered {
        labels["cluster"] = json!("c");
    }
    let seen = [judge("c/a", &clustered), judge("a", &[of("a"), of("b")].concat()), judge("a", &[])];
    assert_snapshot!(shown(seen), @r#"
    pass 2 series with node = instance = hostname, job = mini-node-exporter
    FAIL the labels of every node's samples: last seen: `node_uptime` has node="b": not a node of this stack
    FAIL the labels of every node's samples: last seen: no `node_uptime` with node="a"; Prometheus has no samples of `node_uptime` or `node_load`
    "#);
}

// Rules.

#[test]
fn every_shipped_rule_is_loaded_and_healthy() {
    let rule = |name: &str, health: &str| json!({ "name": name, "health": health, "lastError": "no such thing" });
    let shipped = Shipped::read().unwrap();
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
        shown(lists.map(|rules| judge(own, &rules)))
    };
    assert_snapshot!(each(true), @"
    pass 20 rules loaded and evaluated
    FAIL every rule healthy: last seen: Prometheus has loaded no rules
    FAIL every rule healthy: last seen: Prometheus has not loaded mini_node_exporter:rules:loaded
    FAIL every rule healthy: last seen: rule `mini_node_exporter:rules:loaded` is err no such thing
    FAIL every rule healthy: last seen: rule `Foreign` is err no such thing
    ");
    assert_snapshot!(each(false), @"
    pass 20 rules loaded and evaluated
    FAIL every rule healthy: last seen: Prometheus has loaded no rules
    FAIL every rule healthy: last seen: Prometheus has not loaded mini_node_exporter:rules:loaded
    FAIL every rule healthy: last seen: rule `mini_node_exporter:rules:loaded` is err no such thing
    pass 20 rules loaded and evaluated
    ");
}

// Grafana.

#[test]
fn a_grafana_that_is_omitted_is_not_one_that_is_missing() {
    for name in ["grafana-healthy", "datasource-healthy", "dashboard-loaded"] {
        let judge = |grafana| judged(name, &Stack { grafana, ..stack(Procfs::Unseen, &[]) });
        let seen = [judge(Part::Omitted), judge(Part::Missing("not found".into()))];
        assert_eq!(shown(seen), "omit\nskip not found");
    }
}

#[test]
fn grafana_its_data_source_and_its_dashboard_are_judged_by_recorded_answers() {
    let recorded = |file: &str| {
        fs::read_to_string(crate::workspace::root().join("e2e/src/client/grafana/recorded").join(file)).unwrap()
    };
    let judge = |name: &str, answers: &[(&str, String)]| {
        let grafana = Part::Here(Grafana::new(answering(answers)));
        judged(name, &Stack { grafana, ..stack(Procfs::Unseen, &[]) })
    };
    let path = crate::workspace::root().join(dashboard::FILE);
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let held = |panel: &str| {
        let mut file = file.clone();
        file["panels"][1]["title"] = json!(panel);
        let answer = json!({ "dashboard": file, "meta": { "url": "/d/mini-node-exporter/x" } });
        [("/api/dashboards/uid/", plain(&answer))]
    };
    let healthy = ("/api/health", recorded("health.txt"));
    let list = ("/api/datasources", recorded("datasources-as-viewer.txt"));
    let query = ("/api/ds/query", recorded("query-ok.txt"));
    let unknown = ("/api/dashboards/uid/", recorded("dashboard-unknown.txt"));
    let seen = [
        judge("grafana-healthy", std::slice::from_ref(&healthy)),
        judge("grafana-healthy", &[("/api/health", plain(&json!({ "database": "failing" })))]),
        judge("datasource-healthy", &[list, healthy, query]),
        judge("dashboard-loaded", &held("Nodes up")),
        judge("dashboard-loaded", &held("changed")),
        judge("dashboard-loaded", &[unknown.clone(), ("/api/search", recorded("search.txt"))]),
        judge("dashboard-loaded", &[unknown, ("/api/search", recorded("search-none.txt"))]),
    ];
    assert_snapshot!(shown(seen), @r#"
    pass version 9.4.0-pre
    FAIL a healthy Grafana: last seen: http://ADDRESS/api/health: the database is not ok: {"database":"failing"}
    pass answers a query; version 9.4.0-pre has no health check for it
    pass `mini-node-exporter-dashboard` at /d/mini-node-exporter/x, 26 panels as in the file
    FAIL the dashboard: last seen: http://ADDRESS/api/dashboards/uid/mini-node-exporter differs from the file: the title of panel 2 `Nodes up`: `changed`, but `Nodes up` in the file
    FAIL the dashboard: last seen: no dashboard has uid `mini-node-exporter`; Grafana has: mini-node-exporter
    FAIL the dashboard: last seen: no dashboard has uid `mini-node-exporter`; Grafana has: none
    "#);
}

/// A dashboard of one panel with this query.
fn shipped(expr: &str) -> Shipped {
    let panel = json!({ "id": 1, "type": "stat", "title": "P", "gridPos": { "x": 0, "y": 0, "w": 1, "h": 1 },
        "targets": [{ "refId": "A", "expr": expr, "instant": true }] });
    let variable =
        json!({ "name": "datasource", "type": "datasource", "query": "prometheus", "current": { "value": "u" } });
    let dashboard = json!({ "uid": "u", "title": "D", "panels": [panel], "templating": { "list": [variable] } });
    Shipped { dashboards: vec![serde_json::from_value(dashboard).unwrap()], rules: Vec::new() }
}

/// Grafana's list of its one data source.
fn datasources(kind: &str, time_interval: &str) -> (&'static str, String) {
    let options = json!({ "timeInterval": time_interval });
    ("/api/datasources", plain(&json!([{ "uid": "u", "type": kind, "jsonData": options }])))
}

#[test]
fn every_panel_has_samples_from_prometheus_and_through_grafana() {
    let through = |frames: &Value| {
        let answer = plain(&json!({ "results": { "A": { "frames": frames } } }));
        Part::Here(Grafana::new(answering(&[datasources("prometheus", "1s"), ("/api/ds/query", answer)])))
    };
    let judge = |prometheus: &str, grafana: Part<Grafana>| {
        let answers = [(ACTIVE, active(&[])), ("/api/v1/query?query=up", prometheus.to_owned())];
        judged_by("panels-have-data", &Stack { grafana, ..stack(Procfs::Unseen, &answers) }, &shipped("up"))
    };
    let (one, none) = (vector(&[(json!({}), 1.0)]), vector(&[]));
    let (frame, empty) = (json!([{ "data": { "values": [[1], [1]] } }]), json!([]));
    let seen = [
        judge(&one, Part::Omitted),
        judge(&one, through(&frame)),
        judge(&none, Part::Omitted),
        judge(&one, through(&empty)),
        judge(&none, through(&frame)),
        judge(BAD, Part::Omitted),
    ];
    assert_snapshot!(shown(seen), @"
    pass all 1 queries answered from Prometheus; there is no Grafana to ask; `$__rate_interval` computed from the targets' scrape interval of 15s
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    FAIL samples for every panel: last seen: no samples: panel 1 `P`, query A (`up`)
    FAIL samples for every panel through Grafana: last seen: no samples: panel 1 `P`, query A (`up`)
    FAIL samples for every panel: last seen: no samples: panel 1 `P`, query A (`up`)
    FAIL query `up`: parse error: panel 1 `P`, query A
    ");
}

/// Its error is Prometheus' own text.
#[test]
fn no_control_character_of_a_failed_panel_gets_into_a_report() {
    let bad = BAD.replace("parse error", "\\u001b[31mparse error\\u0007");
    let answers = [(ACTIVE, active(&[])), ("/api/v1/query?query=up", bad)];
    let outcome = judged_by("panels-have-data", &stack(Procfs::Unseen, &answers), &shipped("up"));
    assert_snapshot!(shown([outcome]), @"FAIL query `up`: parse error: panel 1 `P`, query A");
}

#[test]
fn a_dashboard_without_a_query_is_nothing_to_check() {
    let mut shipped = shipped("up");
    shipped.dashboards = vec![serde_json::from_value::<Dashboard>(json!({ "uid": "u", "title": "D" })).unwrap()];
    let stack = stack(Procfs::Unseen, &[(ACTIVE, active(&[]))]);
    assert_snapshot!(shown([judged_by("panels-have-data", &stack, &shipped)]), @"FAIL the dashboards have no query: nothing to check");
}

#[test]
fn a_stack_without_nodes_is_nothing_to_check() {
    let stack = Stack { nodes: BTreeSet::new(), ..stack(Procfs::Unseen, &[]) };
    assert_snapshot!(shown(["node-labels", "load"].map(|name| judged(name, &stack))), @"
    FAIL the stack has no nodes: nothing to check
    FAIL the stack has no nodes: nothing to check
    ");
}

/// A Prometheus that scrapes once a minute has no rate over one minute.
#[test]
fn the_interval_of_a_rate_follows_grafana_and_without_it_the_targets() {
    let mut slow = target("a", "up");
    slow["scrapeInterval"] = json!("1m");
    let judge = |grafana: Option<(&'static str, String)>| {
        let one = vector(&[(json!({}), 1.0)]);
        let (four_minutes, one_minute) = ("/api/v1/query?query=x240000ms", "/api/v1/query?query=x60000ms");
        let none = vector(&[]);
        let answers = [(ACTIVE, active(std::slice::from_ref(&slow))), (four_minutes, one), (one_minute, none)];
        let frames = plain(&json!({ "results": { "A": { "frames": [{ "data": { "values": [[1], [1]] } }] } } }));
        let grafana = grafana
            .map_or(Part::Omitted, |list| Part::Here(Grafana::new(answering(&[list, ("/api/ds/query", frames)]))));
        let stack = Stack { grafana, ..stack(Procfs::Unseen, &answers) };
        judged_by("panels-have-data", &stack, &shipped("x$__rate_interval"))
    };
    let hidden = ("/api/datasources", "403 x\n".to_owned());
    let seen = [
        judge(None),
        judge(Some(datasources("prometheus", "1m"))),
        judge(Some(datasources("grafana-amazonprometheus-datasource", "1m"))),
        judge(Some(datasources("grafana-azureprometheus-datasource", "1m"))),
        judge(Some(hidden)),
        judge(Some(datasources("prometheus", ""))),
        judge(Some(datasources("loki", "1m"))),
    ];
    assert_snapshot!(shown(seen), @"
    pass all 1 queries answered from Prometheus; there is no Grafana to ask; `$__rate_interval` computed from the targets' scrape interval of 1m
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana; `$__rate_interval` computed from the targets' scrape interval of 1m
         panel 1 `P`: samples A 1
    FAIL samples for every panel: last seen: no samples: panel 1 `P`, query A (`x60000ms`)
    FAIL data source `u` is of type `loki`; expected prometheus
    ");
}

// What all checks share.

/// A query that cannot be parsed stays one, and a part that has ended does not come back.
#[test]
fn what_waiting_cannot_change_stops_the_wait() {
    let began = Instant::now();
    let limit = Duration::from_secs(600);
    let judge = |answers: &[(&str, String)], ended| {
        let backend = Backend { stack: stack(Procfs::Unseen, answers), limit, ended };
        let subject = Subject { backend: &backend, shipped: &Shipped::read().unwrap() };
        run_one(subject, "exporter-ready").unwrap().outcome
    };
    assert_snapshot!(shown([judge(&[(SUCCESS, BAD.to_owned())], false), judge(&[], true)]), @r#"
    FAIL query `node_scrape_collector_success{job="mini-node-exporter"}`: parse error
    FAIL a part has ended
    "#);
    assert!(began.elapsed() < limit / 10, "it waited {:?}", began.elapsed());
}

#[test]
fn the_chosen_checks_are_run_and_the_skipped_ones_omitted() {
    let backend = Backend { stack: stack(Procfs::Unseen, &[]), limit: Duration::ZERO, ended: false };
    let subject = Subject { backend: &backend, shipped: &Shipped::read().unwrap() };
    let chosen = |only: &[&str], skip: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut passed_on = Vec::new();
        let choice = Choice { only: owned(only), skip: owned(skip) };
        let reports = run(subject, &choice, |report| passed_on.push(report.name));
        assert_eq!(reports.iter().map(|report| report.name).collect::<Vec<_>>(), passed_on);
        let is_omitted = |outcome: &Outcome| matches!(outcome, Outcome::Omitted);
        reports.into_iter().map(|report| (report.name, is_omitted(&report.outcome))).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(chosen(&["load", "uptime"], &["load"]), BTreeMap::from([("load", true), ("uptime", false)]));
    let all = chosen(&[], &["load"]);
    assert!(all.len() == CHECKS.len() && all["load"] && !all["uptime"], "{all:?}");
    assert!(super::run_all(subject, |_| ()).iter().map(|report| report.name).eq(names()));
    assert!(run_one(subject, "no-such").is_none());
}

// What the tests are written with.

/// A line for each outcome, without the addresses of the stand-ins and the time of the wait.
fn shown(outcomes: impl IntoIterator<Item = Outcome>) -> String {
    let varies = regex::Regex::new(r"127\.0\.0\.1:\d+|not within \d+ s; ").unwrap();
    let replaced = |found: &regex::Captures<'_>| if found[0].starts_with('1') { "ADDRESS" } else { "" };
    let line = |outcome| match outcome {
        Outcome::Passed { observed, details } => [vec![format!("pass {observed}")], details].concat().join("\n     "),
        Outcome::Failed { observed } => format!("FAIL {observed}"),
        Outcome::Skipped { reason } => format!("skip {reason}"),
        Outcome::Omitted => "omit".to_owned(),
    };
    varies.replace_all(&outcomes.into_iter().map(line).collect::<Vec<_>>().join("\n"), replaced).into_owned()
}

/// One look, for what is not there does not come.
fn judged(name: &str, stack: &Stack) -> Outcome {
    judged_by(name, stack, &Shipped::read().unwrap())
}

fn judged_by(name: &str, stack: &Stack, shipped: &Shipped) -> Outcome {
    let backend = Backend { stack: stack.clone(), limit: Duration::ZERO, ended: false };
    run_one(Subject { backend: &backend, shipped }, name).unwrap().outcome
}

/// A stack of one node `a` whose Prometheus gives these answers.
fn stack(procfs: Procfs, answers: &[(&str, String)]) -> Stack {
    Stack::own(["a".to_owned()].into(), Vec::new(), Prometheus::new(answering(answers)), Part::Omitted, procfs)
}

fn answering(answers: &[(&str, String)]) -> String {
    StandIn::answering(&answers.iter().map(|(path, answer)| (*path, answer.as_str())).collect::<Vec<_>>()).base
}

fn scraping(targets: &[Value]) -> Stack {
    stack(Procfs::Unseen, &[(ACTIVE, active(targets)), (POOLS, pools(&[JOB]))])
}

fn target(node: &str, health: &str) -> Value {
    json!({ "labels": { "job": JOB, "node": node }, "scrapePool": JOB,
        "scrapeUrl": format!("http://{node}/metrics"), "health": health,
        "lastError": if health == "down" { "refused" } else { "" }, "scrapeInterval": "5m" })
}

fn labels(name: &str, node: &str) -> Value {
    let mut labels = json!({ "__name__": name, "node": node, "instance": node, "hostname": node, "job": JOB });
    if name == "node_load" {
        labels["duration"] = json!("1m");
    }
    labels
}

fn tree(uptime: &str, loadavg: &str) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("uptime"), uptime).unwrap();
    fs::write(tree.path().join("loadavg"), loadavg).unwrap();
    tree
}

fn uptimes(values: &[f64]) -> String {
    vector(&values.iter().map(|value| (json!({ "node": "a" }), *value)).collect::<Vec<_>>())
}

fn loads(values: &[(&str, f64)]) -> String {
    vector(
        &values
            .iter()
            .map(|(duration, value)| (json!({ "node": "a", "duration": duration }), *value))
            .collect::<Vec<_>>(),
    )
}

fn vector(samples: &[(Value, f64)]) -> String {
    let element = |(labels, value): &(Value, f64)| json!({ "metric": labels, "value": [0, value.to_string()] });
    ok(&json!({ "resultType": "vector", "result": samples.iter().map(element).collect::<Vec<_>>() }))
}

fn history(labels: &Value, values: &[(f64, f64)]) -> String {
    let values: Vec<Value> = values.iter().map(|(time, value)| json!([time, value.to_string()])).collect();
    ok(&json!({ "resultType": "matrix", "result": [{ "metric": labels, "values": values }] }))
}

fn scalar(value: f64) -> String {
    ok(&json!({ "resultType": "scalar", "result": [value, value.to_string()] }))
}

fn active(targets: &[Value]) -> String {
    ok(&json!({ "activeTargets": targets }))
}

fn pools(names: &[&str]) -> String {
    ok(&json!({ "scrapePools": names }))
}

/// As Prometheus answers.
fn ok(data: &Value) -> String {
    plain(&json!({ "status": "success", "data": data }))
}

fn plain(answer: &Value) -> String {
    format!("200 application/json\n{answer}")
}
