//! A part that dies, or a start that fails: `lab` says what and why, exits with 1, and leaves nothing but the logs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use fs_err as fs;

use crate::lab::{Lab, fixture, kill, ordinary_node};

/// The promise is 2 s; the rest is for a machine that does much else at the time.
const REPORTED_WITHIN: Duration = Duration::from_secs(3);

#[test]
fn prometheus_killed() -> Result<()> {
    part_killed("prometheus", "prometheus.log", "Listening on")
}

#[test]
fn the_exporter_killed() -> Result<()> {
    part_killed("mini-node-exporter", "exporter.log", "message=listening")
}

fn part_killed(program: &str, log: &str, last_log_line: &str) -> Result<()> {
    let lab = Lab::bare()?;
    let running = lab.start(&["up", &ordinary_node()], &lab.parts())?;
    running.wait_for(" is up until ")?;
    let killed = kill(lab.process(program)?)?;
    running.wait_for("FAIL")?;
    let took = killed.elapsed();
    ensure!(took <= REPORTED_WITHIN.mul_f64(e2e::wait::poll::patience()), "it took {took:?} to report it");
    lab.assert_snapshot(&format!("up_with_{program}_killed"), &running.expect_code(1)?);
    let log = fs::read_to_string(only_evidence(&lab)?.join(log))?;
    ensure!(log.contains(last_log_line), "{log}");
    lab.expect_nothing_left()
}

#[test]
fn a_bad_file_in_the_tree() -> Result<()> {
    let lab = Lab::bare()?.with_promtool()?;
    let tree = fixture("bad-uptime-garbage");
    let shown = lab.transcript(&["check", "--path.procfs", &tree.to_string_lossy()], &lab.parts())?;
    lab.assert_snapshot("check_of_a_tree_with_a_bad_file", &shown);
    expect_evidence(&lab)
}

#[test]
fn no_tree() -> Result<()> {
    let lab = Lab::bare()?;
    let shown = lab.transcript(&["check", "--path.procfs", "/nowhere/proc"], &lab.parts())?;
    lab.assert_snapshot("check_of_no_tree", &shown);
    lab.expect_nothing_left()
}

#[test]
fn an_exporter_that_is_another_program_or_missing() -> Result<()> {
    let lab = Lab::bare()?;
    let mut parts = lab.parts();
    parts[1] = lab.script("exporter-stand-in", "echo 'I know no such flag' >&2; exit 2")?.into();
    let other = lab.transcript(&["up"], &parts)?;
    expect_evidence(&lab)?;
    parts[1] = "/nowhere/exporter".into();
    lab.assert_snapshot("up_without_an_exporter", &format!("{other}\n{}", lab.transcript(&["up"], &parts)?));
    lab.expect_nothing_left()
}

#[test]
fn a_prometheus_that_ends_at_once() -> Result<()> {
    let lab = Lab::bare()?;
    let stand_in = lab.prometheus_that("echo 'no space left for samples' >&2; exit 3")?;
    let shown = lab.transcript(&["up"], &lab.parts_with_prometheus(&stand_in))?;
    lab.assert_snapshot("up_with_a_prometheus_that_ends", &shown);
    expect_evidence(&lab)?;
    // Each failure has evidence of its own.
    lab.run(&["up"], &lab.parts_with_prometheus(&stand_in))?.expect_code(1)?;
    ensure!(lab.evidence().len() == 2, "{:?}", lab.evidence());
    Ok(())
}

#[test]
fn a_prometheus_that_is_missing_or_too_old() -> Result<()> {
    let lab = Lab::bare()?;
    let none = lab.transcript(&["up"], &lab.parts_with_prometheus("/nowhere/prometheus".as_ref()))?;
    let old = lab.script("old", "echo 'prometheus, version 2.41.0'")?;
    let old = lab.transcript(&["up"], &lab.parts_with_prometheus(&old))?;
    lab.assert_snapshot("up_without_a_prometheus", &format!("{none}\n{old}"));
    lab.expect_nothing_left()
}

fn expect_evidence(lab: &Lab) -> Result<()> {
    let evidence = only_evidence(lab)?;
    ensure!(evidence.join("exporter.log").is_file(), "{} holds no exporter.log", evidence.display());
    lab.expect_nothing_left()
}

fn only_evidence(lab: &Lab) -> Result<PathBuf> {
    let mut evidence = lab.evidence();
    ensure!(evidence.len() == 1, "one folder of evidence, not {evidence:?}");
    Ok(evidence.remove(0))
}
