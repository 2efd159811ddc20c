//! Each check on both sides of the line between passing and failing, on answers of a Prometheus and a Grafana. What the
//! real ones answer is the local tier's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::report::Outcome;
use super::{CHECKS, Choice, Subject, few, names, run, run_one};
use crate::backend::stand_in::StandIn as Backend;
use crate::client::exporter::Exporter;
use crate::client::grafana::Grafana;
use crate::client::prometheus::Prometheus;
use crate::client::stand_in::StandIn;
use crate::stack::{Part, Procfs, Stack};
use crate::workspace::rules::{Rule, RuleFile};
use crate::workspace::shipped::Shipped;

const UPTIME: &str = "/api/v1/query?query=node_uptime";
const LOAD: &str = "/api/v1/query?query=node_load";
const BOTH: &str = "/api/v1/query?query=%7B__name__";
const SUCCESS: &str = "/api/v1/query?query=node_scrape_collector_success";
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
    assert!(passed(judge(1761.77)).ends_with("exactly the fixture's value"));
    for wrong in [1761.76, 1761.78] {
        let said = failed(judge(wrong));
        assert!(
            said.contains(&format!("node_uptime of a is {wrong}, and the fixture's uptime says 1761.77")),
            "{said}"
        );
    }
}

#[test]
fn an_uptime_may_be_five_seconds_from_the_kernels() {
    let judge = |seen: f64| {
        let tree = tree("1000.00 1.0\n", "");
        let answers = [(UPTIME, uptimes(&[seen])), (UPTIME, uptimes(&[seen + 0.5]))];
        judged("uptime", &stack(Procfs::Live(tree.path().into()), &answers))
    };
    for near in [995.0, 1000.0, 1005.0] {
        assert_eq!(passed(judge(near)), format!("a {} s, growing", near + 0.5));
    }
    for far in [994.0, 1006.0] {
        let said = failed(judge(far));
        assert!(said.contains(&format!("node_uptime of a is {far}, and the kernel says 1000")), "{said}");
    }
}

#[test]
fn an_uptime_has_to_grow() {
    for second in [1000.0, 999.5] {
        let tree = tree("1000.00 1.0\n", "");
        let answers = [(UPTIME, uptimes(&[1000.0])), (UPTIME, uptimes(&[second]))];
        let said = failed(judged("uptime", &stack(Procfs::Live(tree.path().into()), &answers)));
        assert!(said.contains(&format!("node_uptime of a is {second} and was 1000 before")), "{said}");
    }
}

/// Where no kernel can be seen: growth by a second a second, within five, up to now, and reboots.
#[test]
fn an_unseen_uptime_grows_with_the_time() {
    // Prometheus' clock does not begin with the test's.
    let judge = |values: &[(f64, f64)], now: f64| {
        let values: Vec<(f64, f64)> = values.iter().map(|(time, value)| (time + 5000.0, *value)).collect();
        let history = history(&json!({ "node": "a" }), &values);
        judged("uptime", &stack(Procfs::Unseen, &[(UPTIME, history), (TIME, scalar(now + 5000.0))]))
    };
    for (second, now) in [((10.0, 110.0), 10.0), ((10.0, 115.0), 10.0), ((10.0, 105.0), 10.0), ((10.0, 110.0), 35.0)] {
        passed(judge(&[(0.0, 100.0), second], now));
    }
    for reboot in [1.0, 10.0, 15.0] {
        passed(judge(&[(0.0, 1000.0), (10.0, reboot)], 10.0));
    }
    for (values, now, said) in [
        (&[(0.0, 100.0), (10.0, 116.0)][..], 10.0, "grew by 16.0 in 10.0 s"),
        (&[(0.0, 100.0), (10.0, 104.0)], 10.0, "grew by 4.0 in 10.0 s"),
        (&[(0.0, 100.0), (4.0, 100.0)], 4.0, "grew by 0.0 in 4.0 s"),
        (&[(0.0, 10.0), (10.0, 10.0)], 10.0, "grew by 0.0 in 10.0 s"),
        (&[(0.0, 1000.0), (10.0, 16.0)], 10.0, "grew by -984.0 in 10.0 s"),
        (&[(0.0, 100.0), (10.0, 110.0)], 36.0, "is 26 s old, more than two scrapes"),
        (&[(0.0, 100.0)], 0.0, "has 1 sample in the last ten minutes, not two"),
        (&[], 0.0, "has 0 samples in the last ten minutes, not two"),
    ] {
        let seen = failed(judge(values, now));
        assert!(seen.contains("node_uptime of a ") && seen.contains(said), "no `{said}` in {seen}");
    }
}

#[test]
fn a_node_without_an_uptime_is_named() {
    let tree = tree("1.0 1.0\n", "");
    let mut stack = stack(Procfs::Fixture(tree.path().into()), &[(UPTIME, uptimes(&[1.0]))]);
    stack.nodes.insert("b".into());
    assert!(failed(judged("uptime", &stack)).contains("no sample of `node_uptime` from [\"b\"]"));
}

// Load.

#[test]
fn the_three_loads_are_those_of_the_tree() {
    let judge = |loads: &[(&str, f64)]| {
        let tree = tree("", "0.57 0.80 0.77 2/816 12345\n");
        judged("load", &stack(Procfs::Fixture(tree.path().into()), &[(LOAD, self::loads(loads))]))
    };
    let right = [("1m", 0.57), ("5m", 0.8), ("15m", 0.77)];
    assert_eq!(passed(judge(&right)), "a 0.57 0.8 0.77, as in `loadavg`");
    for (wrong, said) in [
        (
            &[("1m", 0.8), ("5m", 0.57), ("15m", 0.77)][..],
            "is [0.8, 0.57, 0.77], and `loadavg` showed [[0.57, 0.8, 0.77]]",
        ),
        (&right[..2], "has durations [\"1m\", \"5m\"], not"),
        (&[right[0], right[1], right[2], right[2]], "has durations [\"1m\", \"5m\", \"15m\", \"15m\"], not"),
        (&[right[0], right[1], ("1h", 0.77)], "has durations [\"1h\", \"1m\", \"5m\"], not"),
    ] {
        let seen = failed(judge(wrong));
        assert!(seen.contains(&format!("node_load of a {said}")), "no `{said}` in {seen}");
    }
}

#[test]
fn an_unseen_load_is_a_number_that_a_load_can_be() {
    let judge = |load: f64| {
        let loads = loads(&[("1m", 1.0), ("5m", load), ("15m", 1.0)]);
        judged("load", &stack(Procfs::Unseen, &[(LOAD, loads)]))
    };
    for good in [0.0, 7000.0] {
        assert!(passed(judge(good)).ends_with("plausible; no kernel can be seen from here to compare with"));
    }
    for bad in [-0.01, f64::NAN, f64::INFINITY] {
        assert!(failed(judge(bad)).contains("which no load is"), "{bad}");
    }
}

/// The kernel may have made a new reading since the scrape.
#[test]
fn the_last_four_readings_count() {
    let mut shown = super::load::Shown::default();
    for reading in [1.0, 2.0, 2.0, 3.0, 4.0] {
        super::load::remember(&mut shown, [reading; 3]);
    }
    assert_eq!(Vec::from(shown.clone()), [1.0, 2.0, 3.0, 4.0].map(|reading| [reading; 3]));
    super::load::remember(&mut shown, [5.0; 3]);
    assert_eq!(Vec::from(shown), [2.0, 3.0, 4.0, 5.0].map(|reading| [reading; 3]));
}

// Targets.

#[test]
fn every_target_has_to_be_up() {
    let judge = |targets: &[Value]| judged("targets-up", &scraping(targets));
    assert_eq!(passed(judge(&[target("a", "up")])), "1 of 1 up");
    // Too many is another check's.
    assert_eq!(passed(judge(&[target("a", "up"), target("a", "up")])), "2 of 1 up");
    for (health, said) in [("down", "is down (refused)"), ("unknown", "is unknown (its scrape interval is 5m)")] {
        let seen = failed(judge(&[target("a", health)]));
        assert!(seen.contains(&format!("http://a/metrics with node=\"a\" {said}")), "{seen}");
    }
    let mut silent = target("a", "down");
    silent["lastError"] = json!("");
    assert!(failed(judge(&[silent])).ends_with("with node=\"a\" is down"));
    let seen = failed(judge(&[target("b", "up")]));
    assert!(seen.contains("no target with a label `node` for [\"a\"]: http://b/metrics"), "{seen}");
}

#[test]
fn no_target_at_all_is_discoverys_fault_or_relabellings() {
    let judge = |dropped: usize| {
        let mut all = vec![json!({ "discoveredLabels": { "job": "mini-node-exporter" } }); dropped];
        all.push(json!({ "discoveredLabels": { "job": "other" } }));
        let dropped = ok(&json!({ "droppedTargets": all }));
        judged("targets-up", &stack(Procfs::Unseen, &[(ACTIVE, active(&[])), (DROPPED, dropped), (POOLS, pools(&[]))]))
    };
    assert!(failed(judge(0)).contains("no target in job `mini-node-exporter`: its discovery finds none"));
    assert!(failed(judge(2)).contains("its discovery finds 2, and its relabelling drops them all"));
}

/// Of a stack of our own every job counts, and of somebody else's only ours.
#[test]
fn targets_of_other_jobs_are_ours_where_the_stack_is() {
    let mut other = target("x", "down");
    (other["labels"]["job"], other["scrapePool"]) = (json!("other"), json!("other"));
    let mut stack = scraping(&[target("a", "up"), other.clone()]);
    assert!(failed(judged("targets-up", &stack)).contains("node=\"x\" is down"));
    stack.own = false;
    assert_eq!(passed(judged("targets-up", &stack)), "1 of 1 up");
    let pools = |own| {
        let answers = [
            (ACTIVE, active(&[target("a", "up")])),
            (DROPPED, ok(&json!({ "droppedTargets": [] }))),
            (POOLS, pools(&["other"])),
        ];
        let mut stack = self::stack(Procfs::Unseen, &answers);
        stack.own = own;
        judged("targets-up", &stack)
    };
    assert!(failed(pools(true)).contains("Prometheus has no target in job `other`"));
    passed(pools(false));
    other["health"] = json!("up");
    let answers =
        [(ACTIVE, active(&[target("a", "up"), other])), (POOLS, self::pools(&["mini-node-exporter", "other"]))];
    assert_eq!(passed(judged("targets-up", &self::stack(Procfs::Unseen, &answers))), "1 of 1 up");
}

#[test]
fn each_node_has_one_target() {
    let judge = |targets: &[Value]| judged("one-target-per-node", &scraping(targets));
    assert_eq!(passed(judge(&[target("a", "down")])), "1 of 1 nodes");
    for (targets, said) in [
        (&[][..], "a has 0 targets"),
        (&[target("a", "up"), target("a", "up")], "a has 2 targets"),
        (&[target("a", "up"), target("b", "up")], "a target belongs to no node of the stack: http://b/metrics"),
    ] {
        let seen = failed(judge(targets));
        assert!(seen.contains(said), "no `{said}` in {seen}");
    }
}

#[test]
fn exporters_are_asked_where_they_can_be_reached() {
    let ready = StandIn::answering(&[("/healthz/ready", "200 x\nok")]).base;
    let sick = StandIn::answering(&[("/healthz/ready", "503 x\n/proc/uptime: empty")]).base;
    let judge = |bases: &[&String]| {
        let mut stack = stack(Procfs::Unseen, &[]);
        stack.exporters = bases.iter().map(|base| Exporter::new(base.as_str())).collect();
        judged("exporter-ready", &stack)
    };
    assert_eq!(passed(judge(&[&ready])), format!("{ready}/healthz/ready answers 200"));
    assert_eq!(passed(judge(&[&ready, &ready])), "/healthz/ready of 2 exporters answers 200");
    assert!(failed(judge(&[&ready, &sick])).contains("/proc/uptime: empty"));
}

#[test]
fn exporters_that_cannot_be_reached_are_judged_by_their_collectors() {
    let judge =
        |samples: &[(Value, f64)]| judged("exporter-ready", &stack(Procfs::Unseen, &[(SUCCESS, vector(samples))]));
    let of = |node: &str, collector: &str| json!({ "node": node, "collector": collector });
    passed(judge(&[(of("a", "load"), 1.0), (of("a", "uptime"), 1.0)]));
    let seen = failed(judge(&[(of("a", "load"), 0.0), (of("a", "uptime"), 1.0)]));
    assert!(seen.ends_with("collectors fail: `load` on a"), "{seen}");
    assert!(failed(judge(&[(of("b", "load"), 1.0)])).contains("no `node_scrape_collector_success` with node=\"a\""));
}

// Labels.

#[test]
fn labels_are_the_nodes_name_and_no_others() {
    let judge = |own: bool, change: fn(&mut Value)| {
        let mut labels = json!({ "__name__": "node_uptime", "node": "a", "instance": "a", "hostname": "a", "job": "mini-node-exporter" });
        let mut load = labels.clone();
        (load["__name__"], load["duration"]) = (json!("node_load"), json!("1m"));
        change(&mut labels);
        let mut stack = stack(Procfs::Unseen, &[(BOTH, vector(&[(labels, 1.0), (load, 1.0)]))]);
        stack.own = own;
        judged("node-labels", &stack)
    };
    assert_eq!(passed(judge(true, |_| ())), "2 series with node = instance = hostname, job = mini-node-exporter");
    for own in [true, false] {
        for (change, said) in [
            (
                (|it| it["instance"] = json!("a:23333")) as fn(&mut Value),
                "`node_uptime` of node a has instance=\"a:23333\", not the node's name",
            ),
            (|it| it["hostname"] = json!("pod-1"), "has hostname=\"pod-1\", not the node's name"),
            (|it| it["pod"] = json!("x7k2p"), "has a label `pod`: its series ends at each roll-out"),
            (
                |it| it["node"] = json!("b"),
                "no `node_uptime` with node=\"a\"; there are node_uptime{node=\"b\"}, node_load{node=\"a\"}",
            ),
            (|it| it["__name__"] = json!("node_load"), "no `node_uptime` with node=\"a\""),
        ] {
            let seen = failed(judge(own, change));
            assert!(seen.contains(said), "no `{said}` in {seen}");
        }
    }
    // Others may add what they like; a duration is for loads alone.
    for label in ["namespace", "duration"] {
        let add: fn(&mut Value) =
            if label == "duration" { |it| it["duration"] = json!("1m") } else { |it| it["namespace"] = json!("n") };
        let seen = failed(judge(true, add));
        assert!(seen.contains(&format!("has labels that nobody asked for: [\"{label}\"]")), "{seen}");
        passed(judge(false, add));
    }
}

#[test]
fn a_node_of_a_cluster_may_say_so_and_strangers_may_not() {
    let of = |node: &str, cluster: Option<&str>| {
        let labels = ["node_uptime", "node_load"].map(|name| {
            let mut labels = json!({ "__name__": name, "node": node, "instance": node, "hostname": node, "job": "mini-node-exporter" });
            if let Some(cluster) = cluster {
                labels["cluster"] = json!(cluster);
            }
            (labels, 1.0)
        });
        labels.to_vec()
    };
    let judge = |nodes: &[&str], samples: &[(Value, f64)]| {
        let mut stack = stack(Procfs::Unseen, &[(BOTH, vector(samples))]);
        stack.nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        judged("node-labels", &stack)
    };
    passed(judge(&["c/a"], &of("a", Some("c"))));
    let seen = failed(judge(&["a"], &[of("a", None), of("b", None)].concat()));
    assert!(seen.contains("`node_uptime` has node=\"b\", which is no node of the stack"), "{seen}");
    assert!(failed(judge(&["a"], &[])).contains("there are no samples of either metric"));
}

// Rules.

#[test]
fn every_shipped_rule_is_loaded_and_healthy() {
    let shipped = Shipped::read().unwrap();
    let names: Vec<&str> = shipped.rules.iter().flat_map(RuleFile::rules).map(Rule::name).collect();
    let healthy: Vec<Value> = names.iter().map(|name| json!({ "name": name, "health": "ok" })).collect();
    let judge = |own: bool, rules: &[Value]| {
        let rules = ok(&json!({ "groups": [{ "name": "g", "rules": rules }] }));
        let mut stack = stack(Procfs::Unseen, &[(RULES, rules)]);
        stack.own = own;
        judged("rules-healthy", &stack)
    };
    assert_eq!(passed(judge(true, &healthy)), format!("{} rules loaded and evaluated", names.len()));
    let (first, rest) = healthy.split_first().unwrap();
    let sick = json!({ "name": first["name"], "health": "err", "lastError": "no such thing" });
    let foreign = json!({ "name": "Foreign", "health": "err", "lastError": "x" });
    for own in [true, false] {
        assert!(failed(judge(own, &[])).contains("Prometheus has loaded no rule"));
        assert!(failed(judge(own, rest)).contains(&format!("Prometheus has not loaded [{}]", first["name"])));
        let said = failed(judge(own, &[rest, std::slice::from_ref(&sick)].concat()));
        assert!(said.contains(&format!("rule `{}` is err no such thing", names[0])), "{said}");
    }
    let with_foreign = [&healthy[..], &[foreign]].concat();
    assert!(failed(judge(true, &with_foreign)).contains("rule `Foreign` is err x"));
    passed(judge(false, &with_foreign));
}

// Grafana.

#[test]
fn a_grafana_that_is_left_out_is_not_one_that_is_missing() {
    for name in ["grafana-healthy", "datasource-healthy", "dashboard-loaded"] {
        let judge = |grafana| judged(name, &Stack { grafana, ..stack(Procfs::Unseen, &[]) });
        assert!(matches!(judge(Part::LeftOut), Outcome::LeftOut));
        let Outcome::Skipped { reason } = judge(Part::Missing("none to be had".into())) else { panic!("{name}") };
        assert_eq!(reason, "none to be had");
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
    let path = crate::workspace::root().join(crate::workspace::dashboard::FILE);
    let mut file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let list = recorded("datasources-as-viewer.txt");
    let search = ("/api/search", recorded("search.txt"));

    assert_eq!(passed(judge("grafana-healthy", &[("/api/health", recorded("health.txt"))])), "version 9.4.0-pre");
    assert!(
        failed(judge("grafana-healthy", &[("/api/health", plain(&json!({ "database": "failing" })))]))
            .contains("the database is not ok")
    );

    let health = |answer: Value| [("/api/datasources/uid/", plain(&answer)), ("/api/datasources", list.clone())];
    assert_eq!(passed(judge("datasource-healthy", &health(json!({ "status": "OK", "message": "works" })))), "works");
    assert!(failed(judge("datasource-healthy", &health(json!({ "status": "ERROR" })))).contains("not OK"));

    let held = |file: &Value| [search.clone(), ("/api/dashboards/uid/", plain(&json!({ "dashboard": file })))];
    let seen = passed(judge("dashboard-loaded", &held(&file)));
    assert!(seen.ends_with(" panels as in the file"), "{seen}");
    file["panels"][1]["title"] = json!("changed there");
    assert!(failed(judge("dashboard-loaded", &held(&file))).contains("differs from the file"));
    assert!(
        failed(judge("dashboard-loaded", &[("/api/search", recorded("search-none.txt"))]))
            .contains("no dashboard has uid")
    );
}

#[test]
fn every_panel_has_samples_from_prometheus_and_through_grafana() {
    let panel = json!({ "id": 1, "type": "stat", "title": "P", "gridPos": { "x": 0, "y": 0, "w": 1, "h": 1 },
        "targets": [{ "refId": "A", "expr": "up", "instant": true }] });
    let variable =
        json!({ "name": "datasource", "type": "datasource", "query": "prometheus", "current": { "value": "u" } });
    let dashboard = json!({ "uid": "u", "title": "D", "panels": [panel], "templating": { "list": [variable] } });
    let shipped = Shipped { dashboards: vec![serde_json::from_value(dashboard).unwrap()], rules: Vec::new() };
    let judge = |prometheus: String, grafana: Option<&Value>| {
        let through = |frames: &Value| {
            let answer = plain(&json!({ "results": { "A": { "frames": frames } } }));
            Part::Here(Grafana::new(answering(&[("/api/ds/query", answer)])))
        };
        let grafana = grafana.map_or(Part::LeftOut, through);
        let stack = Stack { grafana, ..stack(Procfs::Unseen, &[("/api/v1/query?query=up", prometheus)]) };
        let backend = Backend { stack, limit: Duration::ZERO, ended: false };
        run_one(Subject { backend: &backend, shipped: &shipped }, "panels-have-data").unwrap().outcome
    };
    let (one, none) = (vector(&[(json!({}), 1.0)]), vector(&[]));
    let (frame, empty) = (json!([{ "data": { "values": [[1], [1]] } }]), json!([]));
    let Outcome::Passed { observed, details } = judge(one.clone(), None) else { panic!("it fails") };
    assert_eq!(observed, "all 1 queries answered from Prometheus; there is no Grafana to ask");
    assert_eq!(details, ["panel 1 `P`: samples A 1"]);
    assert!(passed(judge(one.clone(), Some(&frame))).ends_with("from Prometheus and through Grafana"));
    for said in [failed(judge(none.clone(), None)), failed(judge(one, Some(&empty))), failed(judge(none, Some(&frame)))]
    {
        assert!(said.contains("no samples: panel 1 `P`"), "{said}");
    }
    assert!(failed(judge(BAD.into(), None)).contains("parse error"));
}

// What all checks share.

/// A query that cannot be parsed stays one, and a part that has ended does not come back.
#[test]
fn what_waiting_cannot_change_ends_it() {
    let began = Instant::now();
    let limit = Duration::from_secs(600);
    for (answers, ended, said) in
        [(&[(SUCCESS, BAD.to_owned())][..], false, "parse error"), (&[], true, "a part has ended")]
    {
        let backend = Backend { stack: stack(Procfs::Unseen, answers), limit, ended };
        let subject = Subject { backend: &backend, shipped: &Shipped::read().unwrap() };
        assert!(failed(run_one(subject, "exporter-ready").unwrap().outcome).contains(said));
    }
    assert!(began.elapsed() < limit / 10, "it waited {:?}", began.elapsed());
}

#[test]
fn the_chosen_checks_are_run_and_the_others_shown_as_left_out() {
    let backend = Backend { stack: stack(Procfs::Unseen, &[]), limit: Duration::ZERO, ended: false };
    let subject = Subject { backend: &backend, shipped: &Shipped::read().unwrap() };
    let chosen = |only: &[&str], skip: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut told = Vec::new();
        let reports = run(subject, &Choice { only: owned(only), skip: owned(skip) }, |report| told.push(report.name));
        let is_left_out = |outcome: &Outcome| matches!(outcome, Outcome::LeftOut);
        assert_eq!(reports.iter().map(|report| report.name).collect::<Vec<_>>(), told);
        reports.into_iter().map(|report| (report.name, is_left_out(&report.outcome))).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(chosen(&["load", "uptime"], &["load"]), BTreeMap::from([("load", true), ("uptime", false)]));
    let all = chosen(&[], &["load"]);
    assert!(all.len() == CHECKS.len() && all["load"] && !all["uptime"], "{all:?}");
    assert!(super::run_all(subject, |_| ()).iter().map(|report| report.name).eq(names()));
    assert!(run_one(subject, "no-such").is_none());
}

#[test]
fn ten_names_are_shown_and_the_rest_counted() {
    let named = |count: usize| few((1..=count).map(|number| number.to_string()));
    assert_eq!(named(10), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
    assert_eq!(named(12), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more");
}

// What they are written with.

#[track_caller]
fn passed(outcome: Outcome) -> String {
    let Outcome::Passed { observed, .. } = outcome else { panic!("it should pass: {outcome:?}") };
    observed
}

#[track_caller]
fn failed(outcome: Outcome) -> String {
    let Outcome::Failed { observed } = outcome else { panic!("it should fail: {outcome:?}") };
    observed
}

/// One look, for what is not there does not come.
fn judged(name: &str, stack: &Stack) -> Outcome {
    let backend = Backend { stack: stack.clone(), limit: Duration::ZERO, ended: false };
    run_one(Subject { backend: &backend, shipped: &Shipped::read().unwrap() }, name).unwrap().outcome
}

/// A stack of one node `a`, whose Prometheus answers so.
fn stack(procfs: Procfs, answers: &[(&str, String)]) -> Stack {
    Stack::own(["a".to_owned()].into(), Vec::new(), Prometheus::new(answering(answers)), Part::LeftOut, procfs)
}

fn answering(answers: &[(&str, String)]) -> String {
    StandIn::answering(&answers.iter().map(|(path, answer)| (*path, answer.as_str())).collect::<Vec<_>>()).base
}

fn scraping(targets: &[Value]) -> Stack {
    stack(Procfs::Unseen, &[(ACTIVE, active(targets)), (POOLS, pools(&["mini-node-exporter"]))])
}

fn target(node: &str, health: &str) -> Value {
    json!({ "labels": { "job": "mini-node-exporter", "node": node }, "scrapePool": "mini-node-exporter",
        "scrapeUrl": format!("http://{node}/metrics"), "health": health,
        "lastError": if health == "down" { "refused" } else { "" }, "scrapeInterval": "5m" })
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
