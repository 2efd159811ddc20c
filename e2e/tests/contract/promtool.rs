//! Prometheus' own tool: whether it accepts rules and configuration, and the unit tests of every alert.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use e2e::terminal::progress::Progress;
use e2e::tools::{self, Tool};
use e2e::workspace::rules::RULES;
use fs_err as fs;
use serde_json::{Value, json};

use crate::shipped::{self, NODE_LEAVING, PROMETHEUS_CONFIG};

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
        for file in files(&format!("{RULES}/tests")) {
            scope.spawn(|| run(["test", "rules"], vec![file]));
        }
    });
}

#[test]
fn every_alert_has_a_unit_test() {
    let mut tested = BTreeSet::new();
    for file in files(&format!("{RULES}/tests")) {
        let file: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for test in list(&file["tests"]).iter().flat_map(|group| list(&group["alert_rule_test"])) {
            tested.insert((test["alertname"].as_str().unwrap().to_owned(), list(&test["exp_alerts"]).is_empty()));
        }
    }
    for file in shipped::rules() {
        for name in file.rules().filter_map(|rule| rule.alert.as_ref()) {
            for (silent, wanted) in [(false, "fires"), (true, "does not fire")] {
                let is_tested = tested.contains(&(name.clone(), silent));
                assert!(is_tested, "{}: no test in {RULES}/tests in which `{name}` {wanted}", file.path);
            }
        }
    }
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
