//! Every shipped scenario as a promtool unit test: it passes with the shipped rules, and fails without one of them or
//! with another threshold. The `local` tier runs the same files.

use std::path::PathBuf;

use e2e::backend::local::fleet;
use e2e::play::speed_up;
use e2e::scenario::{Scenario, Timeline};
use e2e::workspace::rules::RULES;
use fs_err as fs;
use serde_json::{Value, json};

use crate::{promtool, shipped, unit};

/// What has to ship.
const NAMES: [&str; 10] = [
    "broken-procfs",
    "crash-loop",
    "flapping-node",
    "load-spike",
    "node-lost",
    "node-removed",
    "quiet-day",
    "reboot",
    "reboot-loop",
    "slow-climb",
];

#[test]
fn every_scenario_passes() {
    let scenarios = Scenario::all().unwrap();
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    assert_eq!(names, NAMES, "left: fixtures/scenarios; right: NAMES");
    for scenario in scenarios {
        judged(&scenario, &promtool::files(RULES)).unwrap();
    }
}

/// As in `lab up --nodes 30 --scenario NAME`: what is expected is of the scenario's own nodes.
#[test]
fn every_scenario_passes_beside_a_fleet() {
    for mut scenario in Scenario::all().unwrap() {
        let steps = scenario.steps();
        let of_fleet = |index| Timeline { node: format!("node-{index}"), steps: vec![fleet::at_rest(index); steps] };
        scenario.timelines.extend((0..30).map(of_fleet));
        judged(&scenario, &promtool::files(RULES)).unwrap();
    }
}

/// Each alert that a scenario sees fire, taken away.
#[test]
fn no_scenario_passes_without_its_rule() {
    for scenario in Scenario::all().unwrap() {
        for name in fired(&scenario) {
            let without =
                changed(|rule| *rule = if rule["alert"] == name.as_str() { Value::Null } else { rule.take() });
            let said =
                judged(&scenario, &without.files).expect_err(&format!("{} passes without {name}", scenario.name));
            assert!(said.contains(&name), "{}: {said}", scenario.name);
        }
    }
}

#[test]
fn no_scenario_about_a_threshold_passes_with_another() {
    let moved = |metric: &'static str, from: &'static str, to: &'static str| {
        changed(move |rule| {
            if rule["record"] == metric || rule["alert"] == metric {
                let expr = rule["expr"].as_str().unwrap();
                assert!(expr.contains(from), "{metric} has no `{from}`: {expr}");
                rule["expr"] = expr.replace(from, to).into();
            }
        })
    };
    for (scenario, rules) in [
        ("load-spike", moved("node:node_load:threshold", "8 *", "10 *")),
        ("slow-climb", moved("node:node_load:threshold", "8 *", "9 *")),
        ("quiet-day", moved("node:node_load:threshold", "8 *", "7 *")),
        ("reboot", moved("MiniNodeExporterNodeRebooted", "1800", "2400")),
        ("reboot-loop", moved("MiniNodeExporterNodeRebooted", "1800", "2400")),
    ] {
        judged(&Scenario::find(scenario).unwrap(), &rules.files).expect_err(scenario);
    }
    let sooner = |seconds: &'static str| {
        changed(move |rule| {
            if !rule["for"].is_null() {
                rule["for"] = seconds.into();
            }
        })
    };
    for (scenario, wait) in
        [("flapping-node", "3m"), ("node-lost", "5m"), ("node-removed", "5m"), ("broken-procfs", "2m")]
    {
        judged(&Scenario::find(scenario).unwrap(), &sooner(wait).files).expect_err(scenario);
    }
}

#[test]
fn every_shipped_rule_can_be_sped_up() {
    for file in shipped::rules() {
        let sped_up: Value = serde_json::from_str(&speed_up::rules(&file, 60).unwrap().text).unwrap();
        let exprs = sped_up["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        for rule in exprs {
            let expr = rule["expr"].as_str().unwrap();
            promql_parser::parser::parse(expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
            assert!(!expr.contains("[1h]"), "{expr}");
        }
    }
}

/// The alerts that a scenario expects to fire.
fn fired(scenario: &Scenario) -> Vec<String> {
    let mut names: Vec<String> = scenario
        .expectations
        .iter()
        .filter_map(|expectation| Some(expectation.text.split_once(" fires for ")?.0.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The shipped rules with something changed; a rule that becomes null is gone.
struct Changed {
    files: Vec<PathBuf>,
    _directory: tempfile::TempDir,
}

fn changed(change: impl Fn(&mut Value)) -> Changed {
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for file in shipped::rules() {
        let mut groups = file.groups.clone();
        for group in groups.as_array_mut().unwrap() {
            let rules = group["rules"].as_array_mut().unwrap();
            rules.iter_mut().for_each(&change);
            rules.retain(|rule| !rule.is_null());
        }
        let path = directory.path().join(format!("{}.yml", files.len()));
        fs::write(&path, json!({ "groups": groups }).to_string()).unwrap();
        files.push(path);
    }
    Changed { files, _directory: directory }
}

fn judged(scenario: &Scenario, rules: &[PathBuf]) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    unit::judge(scenario, rules, promtool::promtool(), directory.path()).map_err(|error| format!("{error:#}"))
}
