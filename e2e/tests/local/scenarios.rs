//! Scenarios on real exporters and a real Prometheus: every shipped one, in one lab at once, each in a cluster of its own.
//! That promtool says the same of them is a test of the `contract` tier, too.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::scenario;
use fs_err as fs;
use serde_json::Value;

use crate::lab::{self, Lab, kill};
use crate::running::ended;

/// How long all of them may take, of which the longest lasts almost two minutes.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn every_scenario_passes() -> Result<()> {
    let lab = Lab::new()?;
    let words = ["scenario", "run", "--format", "json"].map(OsString::from).into_iter();
    let shipped = scenario::shipped()?;
    let words = words.chain(shipped.iter().map(OsString::from)).chain(lab.programs());
    let sees_pages = lab::alertmanager().is_some();
    let ended = ended(lab.command(words).limit(LIMIT))?.expect_code(if sees_pages { 0 } else { 3 })?;
    let report: Value = serde_json::from_str(&ended.stdout)?;
    let summary = &report["summary"];
    let count = |of: &str| summary[of].as_u64().unwrap_or_default();
    // Without an Alertmanager nothing is known of pages.
    let unjudged = if sees_pages { 0 } else { count("inconclusive") };
    let all = u64::try_from(shipped.len())?;
    ensure!(count("passed") + unjudged == all && count("agreeing") == count("passed"), "{report}");
    // The files name one set of rules, and share a lab.
    let starts = ended.stderr.lines().filter(|line| line.contains("start Prometheus")).count();
    ensure!(starts == 1, "{starts} labs: {}", ended.stderr);
    lab.expect_nothing_left()
}

/// By a configuration of your own; and what is said where there is no Alertmanager.
#[test]
fn a_page_that_does_not_reach_its_receiver_fails_a_scenario() -> Result<()> {
    let (lab, bare) = (Lab::new()?, Lab::bare()?.with_promtool()?);
    let write = |name: &str, text: &str| -> Result<String> {
        let path = lab.dir().join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    write("rules.yml", "groups: [{ name: g, rules: [{ alert: Down, expr: up == 0, for: 1m }] }]")?;
    let test = r#"
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - name: One of mine.
    interval: 1m
    # lab: play on exporters
    # lab: Down not delivered by 1m
    # lab: Down{node="a"} delivered to pages by 3m
    input_series:
      - { series: 'up{job="mini-node-exporter", node="a", instance="a", cluster="mine"}', values: 1 0x5 }
    promql_expr_test:
      - { expr: 'count(up{cluster="mine"})', eval_time: 1m, exp_samples: [{ labels: '{}', value: 1 }] }
"#;
    let config = r#"
route:
  receiver: mail
  routes:
    - { matchers: ['node="b"'], receiver: pages, mute_time_intervals: [nights] }
receivers:
  - { name: pages, webhook_configs: [{ url: 'http://pages.example/' }] }
  - { name: mail, email_configs: [{ to: a@mail.example }] }
time_intervals:
  - { name: nights, time_intervals: [{ times: [{ start_time: '22:00', end_time: '24:00' }] }] }
"#;
    let (test, config) = (write("test.yml", test)?, write("alertmanager.yml", config)?);
    let words = ["scenario", "run", &test, "--alertmanager-config", &config];
    if let Some(program) = lab::alertmanager() {
        let parts = [lab.programs(), ["--alertmanager".into(), program.into()].into()].concat();
        let ended = lab.run(&words, &parts)?.expect_code(1)?;
        for said in [
            "test.yml:5 One of mine.: promtool: pass, live: fail at speed 60",
            "Down{node=\"a\"} is delivered to pages at 3m00s: it was delivered to `mail`",
            "Down is not delivered  met at 1m00s",
        ] {
            ensure!(ended.stdout.contains(said), "no `{said}` in {}", ended.stdout);
        }
        ended.expect_stderr("Alertmanager's time intervals (`nights`) are those of the clock")?;
    }
    let shown = bare.run(&words, &bare.programs())?.expect_code(3)?.stdout;
    for said in [
        "test.yml:5 One of mine.: promtool: pass, live: inconclusive at speed 60",
        "Down{node=\"a\"} is delivered to pages at 3m00s: no Alertmanager: ",
    ] {
        ensure!(shown.contains(said), "no `{said}` in {shown}");
    }
    lab.expect_nothing_left()?;
    bare.expect_nothing_left()
}

/// A load that the nodes do not have, beside a scenario that passes.
#[test]
fn what_does_not_come_true_is_named_by_both_judges() -> Result<()> {
    let lab = Lab::bare()?.with_promtool()?;
    let test = r#"
rule_files: []
evaluation_interval: 1m
tests:
  - name: One of mine.
    interval: 1m
    # lab: play on exporters
    input_series:
      - { series: 'up{job="mini-node-exporter", node="a", instance="a", cluster="CLUSTER"}', values: 1x2 }
      - { series: 'node_load{job="mini-node-exporter", node="a", instance="a", cluster="CLUSTER", hostname="a", duration="15m"}', values: 2x2 }
    promql_expr_test:
      - { expr: 'max(node_load{cluster="CLUSTER"})', eval_time: 1m, exp_samples: [{ labels: '{}', value: VALUE }] }
"#;
    let mut words: Vec<OsString> = ["scenario", "run"].map(OsString::from).into();
    for (cluster, value) in [("one", "2"), ("other", "3")] {
        let file = lab.dir().join(cluster).with_extension("yml");
        fs::write(&file, test.replace("CLUSTER", cluster).replace("VALUE", value))?;
        words.push(file.into());
    }
    let shown = ended(lab.command(words.into_iter().chain(lab.programs())))?.expect_code(1)?.stdout;
    for said in [
        "one.yml:5 One of mine.: promtool: pass, live: pass at speed 60",
        "other.yml:5 One of mine.: promtool: fail, live: fail at speed 60",
        "max(node_load{cluster=\"other\"}) returns {} 3 at 1m00s: `max(node_load{cluster=\"other\"})` returns {} 2",
        "2 test groups: 1 passed, 1 failed",
    ] {
        ensure!(shown.contains(said), "no `{said}` in {shown}");
    }
    ensure!(lab.evidence().len() == 1, "no evidence");
    lab.expect_nothing_left()
}

/// What was logged until then outlives the lab.
#[test]
fn a_part_that_dies_ends_a_scenario_and_leaves_evidence() -> Result<()> {
    let lab = Lab::bare()?.with_promtool()?;
    let running = lab.start(&["scenario", "run", "quiet-day"], &lab.programs())?;
    running.wait_for("quiet-day: ")?;
    kill(lab.process("prometheus")?)?;
    let written = running.expect_code(1)?;
    ensure!(written.contains("prometheus ended with signal: 9"), "{written}");
    let evidence = lab.evidence();
    ensure!(evidence.len() == 1 && written.contains(&evidence[0].display().to_string()), "{evidence:?}\n{written}");
    ensure!(evidence[0].join("prometheus.log").is_file(), "{evidence:?}");
    lab.expect_nothing_left()
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let file = |name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(e2e::workspace::root().join("fixtures/scenarios/reboot.yml"))?;
        let text = text.replace("../../kustomize", &e2e::workspace::root().join("kustomize").display().to_string());
        ensure!(text.contains(from), "no `{from}` in {text}");
        let path = lab.dir().join(name).display().to_string();
        fs::write(&path, text.replacen(from, to, 1))?;
        Ok(path)
    };
    let unknown = file("unknown.yml", "alertname: MiniNode", "alertname: MaxiNode")?;
    let note = file("note.yml", "play on exporters\n", "play on exporters\n    # lab: web-1 sings\n")?;
    let to_nobody = "play on exporters\n    # lab: MiniNodeExporterNodeRebooted delivered to nobody by 5m\n";
    let receiver = file("receiver.yml", "play on exporters\n", to_nobody)?;
    for (words, said) in [
        (&["scenario", "run", "no-such"][..], "no scenario `no-such`; there are broken-procfs, "),
        (&["scenario", "run", "reboot", "--speed", "600"], "a step of 1m at speed 600 is 100 ms"),
        (&["scenario", "run", "reboot", "--speed", "7"], "speed 7 does not divide `1m` into whole milliseconds"),
        (&["scenario", "run", &unknown], "unknown: no rule defines the alert `MaxiNodeExporterNodeRebooted`"),
        (
            &["scenario", "run", &receiver],
            "receiver: no receiver `nobody` in Alertmanager's configuration; there are pages",
        ),
        (&["scenario", "run", &note], "note.yml:5: line 8: unknown comment `lab: web-1 sings`; expected"),
        (&["up", "--scenario", "reboot", "--backend", "kind"], "`--scenario` needs `--backend local`"),
        (&["up", "--scenario", "reboot", "--rules", "."], "`--scenario` and `--rules`: a scenario names its rules"),
    ] {
        lab.run(words, &[])?.expect_code(2)?.expect_stderr(said)?;
    }
    let listed = lab.run(&["scenario", "list"], &[])?.expect_code(0)?.stdout;
    let line = listed.lines().find(|line| line.starts_with("load-spike ")).context("not listed")?;
    ensure!(line.contains("55m") && line.contains("55s"), "{line}");
    lab.expect_nothing_left()
}
