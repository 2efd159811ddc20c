//! `lab mutate` on rules of its own: what no test notices is named, and nothing passes that was not judged.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::wait::poll::{self, Attempt};
use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::promtool;

const RULES: &str = r"groups:
  - name: g
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      # lab mutate: ignore > becomes >=: half a target never answers
      - alert: Down
        expr: job:up:sum unless job:up:sum > 0.5
        for: 5m
        labels: { severity: page }
";

/// Notices everything but a longer `for`.
const TESTS: &str = r#"rule_files: [rules/*.yml]
tests:
  - interval: 1m
    input_series:
      - { series: 'up{job="a", node="a"}', values: 1x9 0x20 }
      - { series: 'up{job="a", node="b"}', values: 1x9 0x20 }
      - { series: 'up{job="b", node="b"}', values: 1x30 }
    promql_expr_test:
      - expr: job:up:sum
        eval_time: 5m
        exp_samples:
          - { labels: 'job:up:sum{job="a"}', value: 2 }
          - { labels: 'job:up:sum{job="b"}', value: 1 }
    alert_rule_test:
      - { alertname: Down, eval_time: 14m, exp_alerts: [] }
      - { alertname: Down, eval_time: 25m, exp_alerts: [{ exp_labels: { job: a, severity: page } }] }
"#;

#[test]
fn a_change_that_no_test_notices_is_named() {
    let (code, said) = mutate(RULES, TESTS, &[]);
    let said = regex::Regex::new(r"took \d+\.\d s").unwrap().replace(&said, "took [TIME]");
    insta::assert_snapshot!(format!("{said}exit code {code}"), @r"
    omit own.yml:7 Down: `> becomes >=` is excused: half a target never answers
    FAIL own.yml:7 Down: no test notices `for 5m becomes 10m` in `for: 5m`
    8 of 9 changes noticed (88 %), 1 excused, 0 expressions skipped; took [TIME]
    exit code 1
    ");
}

#[test]
fn each_format_shows_what_became_of_each_change() {
    let (code, json) = mutate(RULES, TESTS, &["--format", "json", "--only", "for", "--only", "Down: > becomes >="]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let of = |key: &str| json["changes"].as_array().unwrap().iter().map(|it| it[key].to_string()).collect::<Vec<_>>();
    assert_eq!((code, of("change").len()), (1, 3));
    assert_eq!(of("outcome"), [r#""excused""#, r#""noticed""#, r#""unnoticed""#]);
    assert_eq!(of("test")[1], r#""tests.yml""#);
    assert_eq!(of("failed")[1], r#""alertname: Down, time: 14m""#);
    let (code, junit) = mutate(RULES, TESTS, &["--format", "junit", "--only", "job:up:sum"]);
    assert_eq!(code, 0, "{junit}");
    for part in [
        r#"<testsuite name="rules" tests="2" errors="0" failures="0" skipped="0">"#,
        r#"<testcase name="job:up:sum: by loses job" classname="own.yml""#,
    ] {
        assert!(junit.contains(part), "no {part} in\n{junit}");
    }
}

#[test]
fn what_was_not_judged_does_not_pass() {
    let (code, said) = mutate("groups: []", TESTS, &[]);
    assert!(code == 1 && said.contains("no rule in own.yml: nothing to change"), "exit code {code}: {said}");
    let broken = ("> 0.5", "> 2.5");
    for ((rules, other), (tests, others), words, code, expected) in [
        (broken, ("", ""), &[][..], 1, "tests fail before anything is changed; mend them first: `"),
        (broken, ("", ""), &[], 1, "alertname: Down, time: 25m"),
        (("", ""), ("rules/*", "rule/*"), &[], 1, "no test loads own.yml"),
        (("", ""), ("rule_files", "rules"), &[], 1, "no test loads own.yml"),
        (("", ""), ("[rules", "[/rules"), &[], 1, "loads `/rules/*.yml`; expected a path relative to"),
        (("> becomes >=", "removed"), ("", ""), &[], 1, "tests.yml notices `removed`; remove the excuse"),
        ((": half a target never answers", ":"), ("", ""), &[], 1, "own.yml: line 6: the excuse has no reason"),
        (("(up)", r#"(up{job=~"\\Q\\E.*"})"#), ("", ""), &["--only", "rule"], 3, "cannot be taken apart: cannot parse"),
        (
            ("", ""),
            ("", ""),
            &["--only", "arms"],
            1,
            "--only arms: no such change; expected `RULE`, `RULE: CHANGE`, or",
        ),
        (("", ""), ("", ""), &["--tests"], 2, "a value is required for '--tests <FILES>...'"),
    ] {
        let (seen, said) = mutate(&RULES.replacen(rules, other, 1), &TESTS.replacen(tests, others, 1), words);
        assert!(seen == code && said.contains(expected), "no `{expected}`, exit code {seen}: {said}");
    }
}

#[test]
fn an_interrupt_keeps_what_was_found() {
    let dir = folder(RULES, TESTS);
    // Hangs with one change, once the other two were judged.
    let script = format!(
        r#"#!/bin/sh
        case $3 in *tests.yml) ;; *) exec {promtool} "$@" ;; esac
        if grep -qrs 10m "${{3%/*}}"; then
            until [ "$(wc -l <ended)" = 3 ]; do sleep 0.1; done
            touch hangs
            exec sleep 60
        fi
        {promtool} "$@"
        status=$?
        echo >>ended
        exit $status
        "#,
        promtool = promtool::promtool().display()
    );
    let stand_in = dir.path().join("promtool");
    fs::write(&stand_in, script).unwrap();
    fs::set_permissions(&stand_in, Permissions::from_mode(0o755)).unwrap();
    let words = ["--format", "json", "--only", "for", "--only", "Down: > becomes >="];
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let mut lab = lab(&dir, &words);
    let running = lab.env("PATH", path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    poll::until("the hanging promtool", Duration::from_secs(30), Duration::from_millis(20), || {
        if dir.path().join("hangs").exists() { Attempt::Ready(()) } else { Attempt::NotYet("none".into()) }
    })
    .unwrap();
    // A shell's background job ignores SIGINT, and so does all that it starts.
    kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("interrupted"), "{}: {said}", output.status);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let outcomes: Vec<_> = json["changes"].as_array().unwrap().iter().map(|it| it["outcome"].clone()).collect();
    assert_eq!(outcomes, ["excused", "noticed", "untried"]);
}

fn mutate(rules: &str, tests: &str, words: &[&str]) -> (i32, String) {
    // Downloaded where it is missing.
    promtool::promtool();
    let output = lab(&folder(rules, tests), words).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code().unwrap(), said.concat())
}

/// Rules and their tests in a folder of their own. The tests find the rules by a pattern, and through a link.
fn folder(rules: &str, tests: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    fs::write(dir.path().join("own.yml"), rules).unwrap();
    symlink("../own.yml", dir.path().join("rules/linked.yml")).unwrap();
    fs::write(dir.path().join("tests.yml"), tests).unwrap();
    dir
}

fn lab(dir: &TempDir, words: &[&str]) -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.args(["mutate", "own.yml", "--quiet", "--tests", "tests.yml"]).args(words).current_dir(dir.path());
    lab
}
