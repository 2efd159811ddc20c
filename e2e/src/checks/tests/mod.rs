//! Each check on both sides of the line between passing and failing, by answers of a Prometheus and a Grafana. What the
//! real ones answer is shown by the local tier.

mod alertmanager;
mod exposition;
mod grafana;
mod labels;
mod load;
mod panels;
mod restart;
mod rules;
mod series;
mod targets;
mod uptime;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fs_err as fs;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::report::Outcome;
use super::{CHECKS, Choice, Of, Subject, names, run};
use crate::backend::stand_in::StandIn as Backend;
use crate::client::exporter::Exporter;
use crate::client::grafana::Grafana;
use crate::client::prometheus::Prometheus;
use crate::client::stand_in::StandIn;
use crate::stack::{JOB, Part, Procfs, Scraped, Stack};
use crate::workspace::dashboard::{self, Dashboard};
use crate::workspace::project::Project;
use crate::workspace::rules::{Rule, RuleFile};

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

/// A query that cannot be parsed stays one, and a part that has ended does not come back.
#[test]
fn what_waiting_cannot_change_stops_the_wait() {
    let began = Instant::now();
    let limit = Duration::from_secs(600);
    let judge = |answers: &[(&str, String)], ended| {
        let backend = Backend { stack: stack(Procfs::Unseen, answers), limit, ended };
        let subject = Subject { backend: &backend, project: &Project::shipped().unwrap() };
        only(subject, "exporter-ready")
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
    let subject = Subject { backend: &backend, project: &Project::shipped().unwrap() };
    let chosen = |only: &[&str], skip: &[&str]| {
        let mut passed_on = Vec::new();
        let choice = Choice { skip: Choice::only(skip).only, ..Choice::only(only) };
        let reports = run(subject, &choice, |report| passed_on.push(report.name));
        assert_eq!(reports.iter().map(|report| report.name).collect::<Vec<_>>(), passed_on);
        let is_omitted = |outcome: &Outcome| matches!(outcome, Outcome::Omitted { .. });
        reports.into_iter().map(|report| (report.name, is_omitted(&report.outcome))).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(chosen(&["load", "uptime"], &["load"]), BTreeMap::from([("load", true), ("uptime", false)]));
    let all = chosen(&[], &["load"]);
    assert!(all.len() == CHECKS.len() && all["load"] && !all["uptime"], "{all:?}");
    assert!(run(subject, &Choice::default(), |_| ()).iter().map(|report| report.name).eq(names()));
}

#[test]
fn a_stack_without_nodes_is_nothing_to_check() {
    let stack = Stack { scraped: Scraped::Nodes(BTreeSet::new()), ..stack(Procfs::Unseen, &[]) };
    assert_snapshot!(shown(["node-labels", "load"].map(|name| judged(name, &stack))), @"
    FAIL the stack has no nodes: nothing to check
    FAIL the stack has no nodes: nothing to check
    ");
}

/// Of a Prometheus that nothing is known of but its targets.
#[test]
fn another_exporters_targets_get_the_checks_for_any() {
    let mut elsewhere = target("", "up");
    elsewhere["labels"] = json!({ "job": JOB, "instance": "x:1" });
    let none = ok(&json!({ "groups": [] }));
    let alertmanagers = ok(&json!({ "activeAlertmanagers": [{ "url": "http://a:9093/" }] }));
    let answers = [
        (ACTIVE, active(&[elsewhere])),
        (POOLS, pools(&[JOB])),
        (RULES, none),
        ("/api/v1/alertmanagers", alertmanagers),
    ];
    let of = |name: &str| Scraped::Instances([name.to_owned()].into());
    let judge = |instance: &str| {
        let alertmanager = Part::Here(None);
        let stack = Stack { scraped: of(instance), alertmanager, ..stack(Procfs::Unseen, &answers) };
        let backend = Backend { stack, limit: Duration::ZERO, ended: false };
        let subject = Subject { backend: &backend, project: &Project::default() };
        run(subject, &Choice::default(), |_| ()).into_iter().map(|report| (report.name, report.outcome))
    };
    let (names, outcomes): (Vec<_>, Vec<_>) = judge("x:1").unzip();
    assert_eq!(names, CHECKS.iter().filter(|check| check.of == Of::Any).map(|check| check.name).collect::<Vec<_>>());
    assert_snapshot!(shown(outcomes), @"
    pass 1 of 1 up
    skip cannot reach the targets from here: GET http:///metrics: http: invalid format
    omit no rules; name some with `--rules`
    omit no rules; name some with `--rules`
    omit its address is not known; name it with `--alertmanager URL`
    pass Prometheus sends alerts to http://a:9093/
    omit its address is not known; name it with `--alertmanager URL`
    omit excluded on request
    omit excluded on request
    omit no dashboard; name some with `--dashboards`
    omit no dashboard; name some with `--dashboards`
    omit no rules and no dashboard; name some with `--rules` and `--dashboards`
    omit nothing to restart; name a program with `--command`
    ");
    assert_snapshot!(shown(judge("x:2").take(1).map(|(_, outcome)| outcome)), @"FAIL every target up: last seen: no target with a label `instance` for x:2; targets: http:///metrics is up");
}

#[test]
fn a_named_check_that_is_not_for_these_targets_is_refused() {
    let refused = |is_ours| Choice::only(&["targets-up", "uptime"]).expect_possible(is_ours);
    assert_eq!(refused(true), Ok(()));
    assert_snapshot!(refused(false).unwrap_err(), @"the check `uptime` is for targets of mini-node-exporter, and these are another program's; `lab check --list` lists the checks for any");
}

/// A line for each outcome, without the addresses of the stand-ins and the time of the wait.
fn shown(outcomes: impl IntoIterator<Item = Outcome>) -> String {
    let varies = regex::Regex::new(r"127\.0\.0\.1:\d+|timed out after \d+ s; ").unwrap();
    let replaced = |found: &regex::Captures<'_>| if found[0].starts_with('1') { "ADDRESS" } else { "" };
    let line = |outcome| match outcome {
        Outcome::Passed { observed, details } => [vec![format!("pass {observed}")], details].concat().join("\n     "),
        Outcome::Failed { observed } => format!("FAIL {observed}"),
        Outcome::Skipped { reason } => format!("skip {reason}"),
        Outcome::Omitted { reason } => format!("omit {reason}"),
    };
    varies.replace_all(&outcomes.into_iter().map(line).collect::<Vec<_>>().join("\n"), replaced).into_owned()
}

/// Tries once: the stand-in's answers do not change.
fn judged(name: &str, stack: &Stack) -> Outcome {
    judged_by(name, stack, &Project::shipped().unwrap())
}

fn judged_by(name: &str, stack: &Stack, project: &Project) -> Outcome {
    let backend = Backend { stack: stack.clone(), limit: Duration::ZERO, ended: false };
    only(Subject { backend: &backend, project }, name)
}

fn only(subject: Subject<'_>, name: &str) -> Outcome {
    run(subject, &Choice::only(&[name]), |_| ()).pop().unwrap().outcome
}

/// A stack of one node `a` whose Prometheus gives these answers.
fn stack(procfs: Procfs, answers: &[(&str, String)]) -> Stack {
    Stack::own(["a".to_owned()].into(), Vec::new(), Prometheus::new(answering(answers)), Part::Omitted, procfs)
}

fn borrowed(answers: &[(String, String)]) -> Vec<(&str, String)> {
    answers.iter().map(|(path, answer)| (path.as_str(), answer.clone())).collect()
}

fn answering(answers: &[(&str, String)]) -> String {
    StandIn::answering(&answers.iter().map(|(path, answer)| (*path, answer.as_str())).collect::<Vec<_>>()).base
}

/// The path at which Prometheus is asked a query.
fn asking(query: &str) -> String {
    let encode = |byte| match byte {
        b' ' => "%20".to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'(' | b')' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    format!("/api/v1/query?query={}", query.bytes().map(encode).collect::<String>())
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
