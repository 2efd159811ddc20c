//! Prometheus' own tool: whether it accepts rules and configuration, and the unit tests of every alert.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use e2e::terminal::progress::Progress;
use e2e::tools::{self, Tool};
use e2e::workspace::rules::RULES;

use crate::shipped::{self, PROMETHEUS_CONFIG};

#[test]
fn promtool_accepts_the_rules() {
    run(["check", "rules"], files(RULES));
}

#[test]
fn promtool_accepts_the_configuration() {
    run(["check", "config"], vec![shipped::path(PROMETHEUS_CONFIG)]);
}

#[test]
fn every_alert_fires_when_it_should_and_only_then_and_resolves() {
    run(["test", "rules"], files(&format!("{RULES}/tests")));
}

#[test]
fn every_alert_has_a_unit_test() {
    let tests: String = files(&format!("{RULES}/tests")).iter().map(|f| fs::read_to_string(f).unwrap()).collect();
    for file in shipped::rules() {
        for name in file.rules().filter_map(|rule| rule.alert.as_ref()) {
            let fires = format!("alertname: {name}\n");
            let silent = format!("alertname: {name}, eval_time");
            assert!(
                tests.contains(&fires) && tests.contains(&silent),
                "{}: alert `{name}` has no unit test",
                file.path
            );
        }
    }
}

/// Runs promtool on files; what it says is shown when it is not content.
#[track_caller]
fn run(subcommand: [&str; 2], files: Vec<PathBuf>) {
    assert!(!files.is_empty(), "no files for promtool {}", subcommand.join(" "));
    let output = Command::new(promtool()).args(subcommand).args(files).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    // Debian 12 builds it so.
    let lame = said.contains("field kubernetes_sd_configs not found");
    let hint = if lame { "this promtool is built without Kubernetes discovery: use another\n" } else { "" };
    assert!(output.status.success(), "promtool {}: {}\n{hint}{said}", subcommand.join(" "), output.status);
}

fn files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(shipped::path(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension() == Some(OsStr::new("yml"))).collect();
    files.sort();
    files
}

/// The harness' own promtool: the one on `PATH`, or one that it fetches.
fn promtool() -> &'static Path {
    static FOUND: LazyLock<PathBuf> = LazyLock::new(|| {
        let found = Progress::quiet().step("find promtool", |step| tools::find(Tool::Promtool, None, step));
        found.unwrap_or_else(|error| panic!("{error:#}")).path
    });
    &FOUND
}
