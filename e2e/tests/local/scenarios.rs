//! Scenarios on real exporters and a real Prometheus: every shipped one, in one lab at once, each in a cluster of its own.
//! That promtool says the same of them is a test of the `contract` tier, too.

use std::ffi::OsString;

use anyhow::{Context as _, Result, ensure};
use e2e::scenario;
use fs_err as fs;
use serde_json::Value;

use crate::lab::{Lab, kill};
use crate::running::ended;

#[test]
fn every_scenario_passes() -> Result<()> {
    let lab = Lab::bare()?.with_promtool()?;
    let words = ["scenario", "run", "--format", "json"].map(OsString::from).into_iter();
    let shipped = scenario::shipped()?;
    let words = words.chain(shipped.iter().map(OsString::from)).chain(lab.programs());
    let ended = ended(lab.command(words))?.expect_code(0)?;
    let report: Value = serde_json::from_str(&ended.stdout)?;
    let summary = &report["summary"];
    ensure!(summary["passed"] == shipped.len() && summary["agreeing"] == shipped.len(), "{report}");
    // The files name one set of rules, and share a lab.
    let starts = ended.stderr.lines().filter(|line| line.contains("start Prometheus")).count();
    ensure!(starts == 1, "{starts} labs: {}", ended.stderr);
    lab.expect_nothing_left()
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
    for (words, said) in [
        (&["scenario", "run", "no-such"][..], "no scenario `no-such`; there are broken-procfs, "),
        (&["scenario", "run", "reboot", "--speed", "600"], "a step of 1m at speed 600 is 100 ms"),
        (&["scenario", "run", "reboot", "--speed", "7"], "speed 7 does not divide `1m` into whole milliseconds"),
        (&["scenario", "run", &unknown], "unknown: no rule defines the alert `MaxiNodeExporterNodeRebooted`"),
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
