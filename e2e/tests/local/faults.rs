//! A part that dies, or a start that fails: `lab` says what and why, ends with 1, and leaves nothing but the logs.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::lab::{Lab, fixture, kill};

/// The promise is 2 s; the rest is for a machine that does much else at the time.
const SAID_WITHIN: Duration = Duration::from_secs(3);

#[test]
fn prometheus_killed() -> Result<()> {
    part_killed("prometheus", "prometheus ended with signal: 9", "Listening on")
}

#[test]
fn the_exporter_killed() -> Result<()> {
    part_killed("mini-node-exporter", "exporter ended with signal: 9", "message=listening")
}

fn part_killed(program: &str, said: &str, last_log_line: &str) -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start(&["up"], &lab.parts())?;
    running.wait_for(" stays until ")?;
    let killed = kill(lab.process(program)?)?;
    running.wait_for(said)?;
    let took = killed.elapsed();
    ensure!(took <= SAID_WITHIN.mul_f64(e2e::wait::poll::patience()), "it took {took:?} to say so");
    let written = running.expect_code(1)?;
    ensure!(written.contains("its last log lines:"), "{written}");
    ensure!(lab.evidence().len() == 1 && written.contains("the logs are in "), "{:?}: {written}", lab.evidence());
    let log = lab.evidence()[0].join(if program == "prometheus" { "prometheus.log" } else { "exporter.log" });
    let log = std::fs::read_to_string(log)?;
    ensure!(log.contains(last_log_line), "{log}");
    lab.expect_nothing_left()
}

#[test]
fn a_bad_file_in_the_tree() -> Result<()> {
    let lab = Lab::new()?;
    let tree = fixture("bad-uptime-garbage");
    let ended = lab.run(&["check", "--path.procfs", &tree.to_string_lossy()], &lab.parts())?.expect_code(1)?;
    let ended = ended.expect_stderr(&tree.join("uptime").display().to_string())?;
    expect_evidence(&lab, &ended.expect_stderr("the lab did not start; its logs are in ")?.stderr)
}

#[test]
fn no_tree() -> Result<()> {
    let lab = Lab::new()?;
    let ended = lab.run(&["check", "--path.procfs", "/nowhere/proc"], &lab.parts())?.expect_code(1)?;
    let ended = ended.expect_stderr("--path.procfs /nowhere/proc")?;
    ensure!(!ended.stderr.contains("start the exporter"), "something was started: {}", ended.stderr);
    lab.expect_nothing_left()
}

#[test]
fn an_exporter_that_is_none() -> Result<()> {
    let lab = Lab::new()?;
    let mut parts = lab.parts();
    parts[1] = lab.script("exporter-stand-in", "echo 'I know no such flag' >&2; exit 2")?.into();
    let ended = lab.run(&["up"], &parts)?.expect_code(1)?;
    let ended = ended.expect_stderr("exporter ended with exit status: 2")?.expect_stderr("| I know no such flag")?;
    expect_evidence(&lab, &ended.stderr)?;

    parts[1] = "/nowhere/exporter".into();
    let ended = lab.run(&["up"], &parts)?.expect_code(1)?;
    ended.expect_stderr("--exporter /nowhere/exporter: there is no such file")?;
    lab.expect_nothing_left()
}

#[test]
fn a_prometheus_that_ends_at_once() -> Result<()> {
    let lab = Lab::new()?;
    let stand_in = lab.prometheus_that("echo 'no space left for samples' >&2; exit 3")?;
    let ended = lab.run(&["up"], &lab.parts_with_prometheus(&stand_in))?.expect_code(1)?;
    let ended = ended.expect_stderr("prometheus ended with exit status: 3")?;
    expect_evidence(&lab, &ended.expect_stderr("| no space left for samples")?.stderr)
}

#[test]
fn a_prometheus_that_is_none() -> Result<()> {
    let lab = Lab::new()?;
    let ended = lab.run(&["up"], &lab.parts_with_prometheus("/nowhere/prometheus".as_ref()))?.expect_code(1)?;
    ended.expect_stderr("/nowhere/prometheus")?;
    let old = lab.script("old", "echo 'prometheus, version 2.41.0'")?;
    let ended = lab.run(&["up"], &lab.parts_with_prometheus(&old))?.expect_code(1)?;
    ended.expect_stderr("is version 2.41.0, and 2.42.0 is the oldest that will do")?;
    lab.expect_nothing_left()
}

fn expect_evidence(lab: &Lab, said: &str) -> Result<()> {
    let evidence = lab.evidence();
    ensure!(evidence.len() == 1, "{evidence:?}");
    ensure!(said.contains(&evidence[0].display().to_string()), "{} is not told: {said}", evidence[0].display());
    ensure!(evidence[0].join("exporter.log").is_file(), "{} holds no exporter.log", evidence[0].display());
    lab.expect_nothing_left()
}
