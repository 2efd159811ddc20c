//! Unit tests of rules, played on a real Prometheus: both judges say the same, and what cannot be played is named.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::wait::poll::{self, Attempt};
use fs_err as fs;
use rustix::process::Signal;
use serde_json::Value;

use crate::lab::{Lab, alertmanager};
use crate::running::{Ended, ended};

const RULES: &str = r#"groups:
  - name: g
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
  - name: h
    interval: 3m
    rules:
      - alert: Down
        expr: job:up:sum == 0
        for: 5m
        keep_firing_for: 2m
        labels: { severity: page, env: '{{ $externalLabels.env }}' }
        annotations:
          summary: '{{ $labels.job }} is down at {{ $value }}, see {{ $externalURL }}/x.{{ with query "sum_over_time(up[3m])" }} {{ . | first | value }}{{ end }}'
      - alert: Old
        expr: time() - seen > 600 and on () hour() == 0 and on () timestamp(seen) == time()
      - alert: Busy
        expr: rate(requests_total[5m]) > 1.9 and predict_linear(requests_total[5m], 600) > 0
"#;

const TESTS: &str = r#"rule_files: [rules/*.yml]
evaluation_interval: 1m
group_eval_order: [g, h]
tests:
  - name: a night
    interval: 30s
    external_labels: { env: test }
    external_url: https://prometheus.example/p
    input_series:
      - { series: 'up{job="a", node="n,1"}', values: 1x9 0x20 1x20 }
      - { series: 'up{job="b"}', values: 1x9 _x3 stale _x40 }
      - { series: 'seen{job="a"}', values: 0x60 }
      - { series: 'requests_total{job="a"}', values: 0+60x60 }
    alert_rule_test:
      - { alertname: Down, eval_time: 9m30s, exp_alerts: [] }
      - alertname: Down
        eval_time: 10m
        exp_alerts:
          - exp_labels: { job: a, severity: page, env: test }
            exp_annotations: { summary: "a is down at 0, see https://prometheus.example/p/x. 0" }
      - alertname: Down
        eval_time: 17m
        exp_alerts: &kept
          - exp_labels: { job: a, severity: page, env: test }
            exp_annotations: { summary: "a is down at 0, see https://prometheus.example/p/x. 0" }
      - { alertname: Down, eval_time: 18m, exp_alerts: [] }
      - { alertname: Old, eval_time: 10m, exp_alerts: [] }
      - { alertname: Old, eval_time: 11m, exp_alerts: [{ exp_labels: { job: a } }] }
      - { alertname: Busy, eval_time: 11m, exp_alerts: [{ exp_labels: { job: a } }] }
    promql_expr_test:
      - { expr: 'time()', eval_time: 90s, exp_samples: [{ labels: '', value: 90 }] }
      - { expr: 'max_over_time(up{job="a"}[4m:2m] offset 1m)', eval_time: 8m, exp_samples: [{ labels: '{job="a", node="n,1"}', value: 1 }] }
      - { expr: 'requests_total @ 60', eval_time: 8m, exp_samples: [{ labels: 'requests_total{job="a"}', value: 120 }] }
      - { expr: 'rate(requests_total[5m])', eval_time: 8m, exp_samples: [{ labels: '{job="a"}', value: 2 }] }
      - { expr: 'up{job="b"}', eval_time: 8m, exp_samples: [] }
  - input_series:
      - { series: 'up{job="a"}', values: 0x10 }
    external_url: https://prometheus.example/p
    external_labels: { env: test }
    promql_expr_test:
      - { expr: 'ALERTS{alertname="Down", alertstate="pending"}', eval_time: 2m, exp_samples: [{ labels: 'ALERTS{alertname="Down", alertstate="pending", env="test", job="a", severity="page"}', value: 1 }] }
"#;

/// What is calculated with time, and what is not: the values are those that promtool calculates.
#[test]
fn a_test_is_played_as_promtool_calculates_it() -> Result<()> {
    let played = play(&Lab::new()?, RULES, TESTS, &[])?.expect_code(0)?;
    ensure!(played.stdout.contains("2 test groups: 2 passed, 0 failed"), "{}", played.stdout);
    ensure!(played.stdout.contains("2 of 2 with a verdict agree with promtool"), "{}", played.stdout);
    let lab = Lab::new()?;
    let file = written(&lab, RULES, TESTS)?;
    let one = lab.run(&["scenario", "run", &format!("{file}:36")], &prometheus(&lab))?.expect_code(0)?.stdout;
    ensure!(one.contains("tests.yml:36") && one.contains("1 test group: 1 passed"), "{one}");
    let none = lab.run(&["scenario", "run", &format!("{file}:37")], &prometheus(&lab))?.expect_code(3)?.stdout;
    ensure!(none.contains("no test begins in line 37; they begin in 5, 36"), "{none}");
    Ok(())
}

/// `for` twice as long, half as long, or without: both say fail.
#[test]
fn both_judges_fail_a_wrong_rule() -> Result<()> {
    let lab = Lab::new()?;
    for (from, to, said) in [
        ("for: 5m", "for: 10m", "Down at 10m: expected {"),
        ("for: 5m", "for: 4m", "Down at 9m 30s: expected nothing; firing: {"),
        ("keep_firing_for: 2m", "keep_firing_for: 3m", "Down at 18m: expected nothing; firing: {"),
        ("sum_over_time(up[3m])", "sum_over_time(up[7m])", "Down at 10m: expected {"),
        ("sum by (job) (up)", "up / on () up", "found duplicate series for the match group"),
        ("expr: rate", "expr: rates", "refused"),
    ] {
        ensure!(RULES.contains(from), "{from}");
        let words: &[&str] = if to == "for: 10m" { &["--format", "junit"] } else { &[] };
        let Ended { stdout, .. } = play(&lab, &RULES.replacen(from, to, 1), TESTS, words)?.expect_code(1)?;
        ensure!(stdout.contains(said), "{to}: no `{said}` in {stdout}");
    }
    lab.expect_nothing_left()
}

#[test]
fn what_cannot_be_played_is_refused_by_name() -> Result<()> {
    let lab = Lab::new()?;
    for (expr, values, said) in [
        ("ALERTS_FOR_STATE > 0", "1x3", "it uses `ALERTS_FOR_STATE`, whose values are times of the clock"),
        (
            "count({__name__=~\\\".+\\\"})",
            "1x3",
            "selects by a pattern of names, and finds the samples of the lab, too",
        ),
        ("up", "{{schema:1 sum:-0.3 count:32.1}}x3", "native histograms are not supported"),
    ] {
        let rules = format!(r#"groups: [{{ name: g, rules: [{{ record: a, expr: "{expr}" }}] }}]"#);
        let tests = format!(
            "rule_files: [rules/*.yml]\ntests: [{{ input_series: [{{ series: up, values: '{values}' }}], promql_expr_test: \
             [{{ expr: vector(1), eval_time: 1m, exp_samples: [{{ labels: '{{}}', value: 1 }}] }}] }}]"
        );
        let played = play(&lab, &rules, &tests, &["--format", "json"])?.expect_code(3)?;
        let report: Value = serde_json::from_str(&played.stdout)?;
        let group = &report["groups"][0];
        let reason = group["reasons"][0].as_str().context("no reason")?;
        ensure!(group["live"] == "refused" && group["promtool"] == "pass", "{group}");
        ensure!(reason.contains(said), "no `{said}` in {reason}");
    }
    Ok(())
}

/// Each file and the reason, also beside others.
#[test]
fn what_is_no_file_of_tests_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let tests =
        "rule_files: [nowhere.yml, rules/*.yml]\ntests: [{ alert_rule_test: [{ alertname: Dwon, eval_time: 1m }] }]";
    let file = written(&lab, "groups: [{ name: g, rules: [{ alert: Down, expr: up == = 0 }] }]", tests)?;
    let in_lab = |name: &str| lab.dir().join(name).display().to_string();
    let [rules, good, empty, none] = ["rules/own.yml", "rules/good.yml", "empty.yml", "none.yml"].map(in_lab);
    fs::write(&empty, "")?;
    fs::write(&good, "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0 }] }]")?;
    let refused = |words: &[&str], code| {
        let words = ["scenario", "run"].into_iter().chain(words.iter().copied()).map(OsString::from);
        ended(lab.command(words.chain(prometheus(&lab))))?.expect_code(code)
    };
    let said = refused(&[&rules, &empty, &file], 1)?.stdout;
    for reason in [
        format!("{rules}: holds rules, not unit tests"),
        format!("{empty}: no test group"),
        format!("{rules}: `Down`: cannot parse `up == = 0`"),
        "rule_files: nowhere.yml matches no file".to_owned(),
    ] {
        ensure!(said.contains(&reason), "no `{reason}` in {said}");
    }
    refused(&[&none], 1)?.expect_stderr(&format!("{none}: no such file"))?;
    refused(&[&in_lab("rules/.")], 1)?.expect_stderr("is a directory; name its files, such as ")?;
    let tests = tests.replace("rules/*", "rules/good");
    fs::write(&file, &tests)?;
    let said = refused(&[&file], 0)?.stdout;
    ensure!(said.contains("no rule defines the alert Dwon"), "{said}");
    let said = refused(&[&file, "--speed", "7"], 3)?.stdout;
    ensure!(said.contains("speed 7 does not divide `1m` into whole milliseconds; use e.g. 5"), "{said}");
    Ok(())
}

const GROUPS: &str = r"groups:
  - name: readers
    rules:
      - alert: Down
        expr: job:up:sum == 0
        for: 2m
  - name: recorders
    limit: 9
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
  - name: slow
    interval: 3m
    rules:
      - alert: Slow
        expr: up == 0
        for: 4m
  - name: others
    rules:
      # At some offsets a single sample is in the window.
      - alert: Increased
        expr: increase(errors_total[90s]) > 0
      - alert: NotReady
        expr: ready == 0
      - alert: Failing
        expr: errors_total > 5
        for: 2m
";

const AT_OFFSETS: &str = r#"rule_files: [rules/*.yml]
group_eval_order: [recorders, readers]
tests:
  - name: order
    input_series: [{ series: 'up{job="a"}', values: 1x4 0x20 }]
    alert_rule_test:
      - { alertname: Down, eval_time: 6m, exp_alerts: [] }
      - { alertname: Down, eval_time: 7m, exp_alerts: [{ exp_labels: { job: a } }] }
  - name: interval
    input_series: [{ series: 'up{job="a"}', values: 1x4 0x20 }]
    alert_rule_test: [{ alertname: Slow, eval_time: 9m, exp_alerts: [{ exp_labels: { job: a } }] }]
  - name: offset
    input_series: [{ series: 'errors_total{job="a"}', values: 0x4 1x20 }]
    alert_rule_test: [{ alertname: Increased, eval_time: 5m, exp_alerts: [{ exp_labels: { job: a } }] }]
  - name: flaps
    interval: 30s
    input_series: [{ series: 'ready{job="a"}', values: 0 0 0 1 0 0 0 1 0 0 0 1 0 }]
    alert_rule_test: [{ alertname: NotReady, eval_time: 4m, exp_alerts: [{ exp_labels: { job: a } }] }]
  - name: same
    input_series: [{ series: 'errors_total{job="a"}', values: 0x4 9+3x20 }]
    alert_rule_test:
      - { alertname: Failing, eval_time: 6m, exp_alerts: [] }
      - { alertname: Failing, eval_time: 7m, exp_alerts: [{ exp_labels: { job: a } }] }
    promql_expr_test:
      - { expr: 'rate(errors_total[5m])', eval_time: 12m, exp_samples: [{ labels: '{job="a"}', value: 0.05 }] }
  - name: given
    input_series: [{ series: 'ALERTS{alertname="Down"}', values: 1x4 }]
    alert_rule_test: [{ alertname: Down, eval_time: 1m, exp_alerts: [] }]
"#;

/// What promtool passes all the same.
#[test]
fn what_depends_on_the_offset_is_named() -> Result<()> {
    let lab = Lab::new()?;
    let played = play(&lab, GROUPS, AT_OFFSETS, &["--mode", "real", "--format", "json"])?.expect_code(1)?;
    let report: Value = serde_json::from_str(&played.stdout)?;
    let groups = report["groups"].as_array().context("no groups")?;
    ensure!(groups.iter().all(|group| group["promtool"] == "pass"), "{report}");
    for (name, live, kind, said) in [
        // On a busy machine a group may be late at the other offsets, too.
        ("order", "pass", "order", "recorders 12s with readers 0s"),
        ("order", "pass", "order", "recorders 36s with readers 24s"),
        ("order", "pass", "order", ": it reads `job:up:sum` of the group recorders, evaluated by itself every 1m"),
        ("interval", "fail", "never", "Slow at 9m: not met within 3m at any offset: expected "),
        ("offset", "fail", "offset", "Increased at 5m: met within 1m at offsets 0s, 12s, 24s, not at 36s: expected "),
        ("flaps", "fail", "flaps", "{alertname=\"NotReady\", job=\"a\"} flaps at offsets 36s: it resolves after"),
        ("same", "pass", "", ""),
        ("given", "refused", "", "a series `ALERTS` of Down"),
    ] {
        let group = groups.iter().find(|group| group["name"] == name).context(name)?;
        let reason = group["reasons"][0].as_str().unwrap_or_default();
        ensure!(group["live"] == live && reason.contains(said), "{name}: no `{said}` in {group}");
        ensure!(group["findings"][0]["kind"].as_str().unwrap_or_default() == kind, "{group}");
    }
    Ok(())
}

#[test]
fn a_group_that_evaluates_the_past_is_played_so() -> Result<()> {
    let rules = "groups: [{ name: g, query_offset: 1m, rules: [{ alert: Down, expr: up == 0 }] }]";
    let tests = r"rule_files: [rules/*.yml]
tests:
  - input_series: [{ series: up, values: 1x4 0x9 }]
    alert_rule_test:
      - { alertname: Down, eval_time: 5m, exp_alerts: [] }
      - { alertname: Down, eval_time: 6m, exp_alerts: [{}] }
";
    for mode in ["aligned", "real"] {
        play(&Lab::new()?, rules, tests, &["--mode", mode])?.expect_code(0)?;
    }
    Ok(())
}

/// The quickest of our own.
#[test]
fn our_own_tests_are_played_alike() -> Result<()> {
    let lab = Lab::new()?;
    let tests = e2e::workspace::root().join("kustomize/prometheus/rules/tests");
    let files = ["node-rebooted", "collector-failing"].map(|name| tests.join(name).with_extension("yml"));
    let words = ["scenario", "run"].iter().map(OsString::from).chain(files.into_iter().map(OsString::from));
    let played = ended(lab.command(words.chain(prometheus(&lab))))?.expect_code(0)?;
    ensure!(played.stdout.contains(" 0 failed, 0 inconclusive, 0 refused"), "{}", played.stdout);
    Ok(())
}

/// The test is played exactly, and in a lab whose Alertmanager delivers.
#[test]
fn any_test_may_expect_a_page() -> Result<()> {
    let Some(alertmanager) = alertmanager() else { return Ok(()) };
    let rules = "groups: [{ name: g, rules: [{ alert: Full, expr: queue > 5, for: 1m, labels: { team: a } }] }]";
    let group = "
  - name: NAME
    # lab: Full{queue=\"q\"} EXPECTED by 5m
    input_series: [{ series: 'queue{queue=\"q\"}', values: 1x1 9x8 }]
    promql_expr_test: [{ expr: queue, eval_time: 2m, exp_samples: [{ labels: 'queue{queue=\"q\"}', value: 9 }] }]";
    let groups = [("page", "delivered to pages"), ("silence", "not delivered")]
        .map(|(name, expected)| group.replace("NAME", name).replace("EXPECTED", expected));
    let lab = Lab::new()?;
    let file = written(&lab, rules, &format!("rule_files: [rules/*.yml]\ntests:{}", groups.concat()))?;
    let parts = [lab.programs(), vec!["--alertmanager".into(), alertmanager.into()]].concat();
    let shown = lab.run(&["scenario", "run", &file], &parts)?.expect_code(1)?.stdout;
    for said in [
        "tests.yml:3 page: promtool: pass, live: pass at speed 250",
        "tests.yml:3 page (in a lab): promtool: pass, live: pass at speed 60",
        "tests.yml:7 silence: promtool: pass, live: pass at speed 250",
        "tests.yml:7 silence (in a lab): promtool: pass, live: fail at speed 60",
        "Full{queue=\"q\"} is not delivered at 5m00s: Full{queue=\"q\", team=\"a\"} was delivered to `pages`",
    ] {
        ensure!(shown.contains(said), "no `{said}` in {shown}");
    }
    lab.expect_nothing_left()
}

/// On a stack with everything: what fires is sent on.
#[test]
fn a_test_is_shown_in_a_lab_and_sends_its_pages() -> Result<()> {
    let Some(alertmanager) = alertmanager() else { return Ok(()) };
    let lab = Lab::new()?;
    let file = written(&lab, RULES, TESTS)?;
    lab.run(&["up", "--scenario", &file], &lab.parts())?
        .expect_code(2)?
        .expect_stderr("several tests; name one as FILE:LINE, they begin in 5, 36")?;
    let mut parts = lab.parts();
    parts.truncate(parts.len() - 2);
    parts.extend(["--alertmanager".into(), alertmanager.into()]);
    let running = lab.start(&["up", "--scenario", &format!("{file}:5")], &parts)?;
    let page = "msg=page status=firing receiver=\"pages\" alerts=1 names=Down";
    poll::until(page, Duration::from_secs(60), Duration::from_millis(500), || {
        match lab.run(&["logs"], &[]).and_then(|logs| logs.expect_code(0)) {
            Ok(logs) if logs.stdout.contains(page) => Attempt::Ready(()),
            Ok(_) => Attempt::NotYet("not in the log".to_owned()),
            Err(error) => Attempt::NotYet(format!("{error:#}")),
        }
    })?;
    running.signal(Signal::INT)?;
    running.expect_code(0)?;
    lab.expect_nothing_left()
}

#[test]
fn an_interrupted_play_leaves_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let file = written(&lab, RULES, &TESTS.replace("eval_time: 18m", "eval_time: 18h"))?;
    let running = lab.start(&["scenario", "run", &file], &prometheus(&lab))?;
    running.wait_for("find promtool")?;
    poll::until("a Prometheus", Duration::from_secs(20), Duration::from_millis(50), || {
        match lab.process("prometheus") {
            Ok(_) => Attempt::Ready(()),
            Err(error) => Attempt::NotYet(error.to_string()),
        }
    })?;
    running.signal(Signal::INT)?;
    running.expect_code(1)?;
    lab.expect_nothing_left()
}

fn play(lab: &Lab, rules: &str, tests: &str, words: &[&str]) -> Result<Ended> {
    let file = written(lab, rules, tests)?;
    let words = ["scenario", "run", &file].into_iter().chain(words.iter().copied()).map(OsString::from);
    ended(lab.command(words.chain(prometheus(lab))))
}

/// The file of the tests, beside its rules.
fn written(lab: &Lab, rules: &str, tests: &str) -> Result<String> {
    fs::create_dir_all(lab.dir().join("rules"))?;
    fs::write(lab.dir().join("rules/own.yml"), rules)?;
    let file = lab.dir().join("tests.yml");
    fs::write(&file, tests)?;
    Ok(file.display().to_string())
}

fn prometheus(lab: &Lab) -> Vec<OsString> {
    lab.programs().split_off(2)
}
