//! Prometheus' own tool: whether it accepts rules and configuration, the unit tests of every alert, and the scenarios.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use e2e::play::file::TestFile;
use e2e::scenario::SCENARIOS;
use e2e::terminal::progress::Progress;
use e2e::tools::{self, Tool};
use e2e::workspace::rules::{RULES, RuleFile};
use fs_err as fs;
use serde_json::json;

use crate::shipped::{self, NODE_LEAVING, PROMETHEUS_CONFIG};

/// Alerts that no scenario can raise: its exporters serve plain HTTP, and this rule reads the clock.
const WITHOUT_SCENARIO: [&str; 1] = ["MiniNodeExporterCertificateExpiring"];

#[test]
fn promtool_accepts_the_rules() {
    run(["check", "rules"], [files(RULES), vec![shipped::path(NODE_LEAVING)]].concat());
}

#[test]
fn promtool_accepts_the_configuration() {
    run(["check", "config"], vec![shipped::path(PROMETHEUS_CONFIG)]);
}

#[test]
fn every_alert_fires_when_it_should_and_only_then_and_resolves() {
    // One promtool for each file: by itself it uses one core.
    thread::scope(|scope| {
        for file in [files(&format!("{RULES}/tests")), files(SCENARIOS)].concat() {
            scope.spawn(|| run(["test", "rules"], vec![file]));
        }
    });
}

#[test]
fn every_alert_has_a_unit_test() {
    let tested: BTreeSet<(String, bool)> = tests_of_alerts(&format!("{RULES}/tests")).into_iter().flatten().collect();
    for (path, name) in alerts() {
        for (fires, wanted) in [(true, "fires"), (false, "does not fire")] {
            let is_tested = tested.contains(&(name.clone(), fires));
            assert!(is_tested, "{path}: no test in {RULES}/tests in which `{name}` {wanted}");
        }
    }
}

#[test]
fn every_alert_fires_and_resolves_in_a_scenario() {
    let scenarios = tests_of_alerts(SCENARIOS);
    for (path, alert) in alerts().into_iter().filter(|(_, alert)| !WITHOUT_SCENARIO.contains(&alert.as_str())) {
        let fires_and_resolves = |tests: &Vec<(String, bool)>| {
            let changes: Vec<bool> = tests.iter().filter(|(name, _)| *name == alert).map(|(_, fires)| *fires).collect();
            changes.windows(2).any(|pair| pair == [true, false])
        };
        let is_one = scenarios.iter().any(fires_and_resolves);
        assert!(is_one, "{path}: no scenario in {SCENARIOS} in which `{alert}` fires and resolves");
    }
}

/// The shipped alerts, and the file of each.
fn alerts() -> Vec<(String, String)> {
    let files = shipped::rules();
    let alerts = |file: &RuleFile| {
        let names = file.rules().filter_map(|rule| rule.alert.clone());
        names.map(|name| (file.path.clone(), name)).collect::<Vec<_>>()
    };
    files.iter().flat_map(alerts).collect()
}

/// What each file of tests expects of alerts, in its order: the name, and whether it fires.
fn tests_of_alerts(directory: &str) -> Vec<Vec<(String, bool)>> {
    let read = |path: PathBuf| {
        let file = TestFile::read(&path).unwrap();
        let groups = file.groups.iter().map(|group| group.test.as_ref().unwrap_or_else(|reason| panic!("{reason}")));
        let alerts = groups.flat_map(|test| &test.alerts);
        alerts.map(|test| (test.name.clone(), !test.expected.is_empty())).collect()
    };
    files(directory).into_iter().map(read).collect()
}

/// What a query has to give, in promtool's notation: labels such as `{node="a"}`, and a value.
pub type Answer = (String, f64);

/// Asks queries of series, all rules evaluated, at a time such as `40m`. Series are names with labels, and a sample a
/// minute in promtool's notation.
#[track_caller]
pub fn ask(series: &[(String, String)], at: &str, questions: &[(String, Vec<Answer>)]) {
    let series: Vec<_> = series.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect();
    let questions = questions.iter().map(|(expr, answers)| {
        let samples: Vec<_> =
            answers.iter().map(|(labels, value)| json!({ "labels": labels, "value": value })).collect();
        json!({ "expr": expr, "eval_time": at, "exp_samples": samples })
    });
    let test = json!({ "interval": "1m", "input_series": series, "promql_expr_test": questions.collect::<Vec<_>>() });
    let rules = [files(RULES), vec![shipped::path(NODE_LEAVING)]].concat();
    let file = json!({ "rule_files": rules, "evaluation_interval": "1m", "tests": [test] });
    let directory = tempfile::tempdir().unwrap();
    // JSON is YAML.
    let path = directory.path().join("questions.yml");
    fs::write(&path, file.to_string()).unwrap();
    run(["test", "rules"], vec![path]);
}

/// Runs promtool on files; what it says is shown when it is not content.
#[track_caller]
pub fn run(subcommand: [&str; 2], files: Vec<PathBuf>) {
    assert!(!files.is_empty(), "no files for promtool {}", subcommand.join(" "));
    let output = Command::new(promtool()).args(subcommand).args(files).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    // Debian 12 builds it so.
    let lame = said.contains("field kubernetes_sd_configs not found");
    let hint = if lame { "this promtool is built without Kubernetes discovery: use another\n" } else { "" };
    assert!(output.status.success(), "promtool {}: {}\n{hint}{said}", subcommand.join(" "), output.status);
}

pub fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(shipped::path(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension() == Some(OsStr::new("yml"))).collect();
    files.sort();
    files
}

/// The harness' own promtool: the one on `PATH`, or one that it fetches.
pub fn promtool() -> &'static Path {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| {
        let found = Progress::quiet().step("find promtool", |step| tools::find(Tool::Promtool, None, step));
        found.unwrap_or_else(|error| panic!("{error:#}")).path
    });
    &FOUND
}
