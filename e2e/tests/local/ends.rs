//! However a lab ends, nothing stays: no process, and no directory beyond the next run.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::process::log;
use e2e::wait::poll::{self, Attempt};
use fs_err as fs;
use rustix::process::Signal;

use crate::lab::{Lab, ordinary_node};
use crate::running::Running;

#[test]
fn an_interrupt_while_it_stays() -> Result<()> {
    let lab = Lab::bare()?;
    let running = lab.start(&["up", &ordinary_node()], &lab.parts())?;
    running.wait_for(" is up until ")?;
    running.signal(Signal::INT)?;
    lab.assert_snapshot("up_until_an_interrupt", &running.expect_code(0)?);
    expect_no_trace(&lab)
}

#[test]
fn a_termination_before_the_first_scrape() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start(&["up"], &lab.parts())?;
    running.wait_for("prometheus  http://")?;
    expect_a_quiet_end(&lab, &running, Signal::TERM)
}

/// As when the terminal's window is closed: the shell sends the signal on, and the kernel sends it again.
#[test]
fn a_hang_up_and_its_repetition() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start(&["up"], &lab.parts())?;
    running.wait_for("prometheus  http://")?;
    running.signal(Signal::HUP)?;
    poll::pause(Duration::from_millis(20))?;
    expect_a_quiet_end(&lab, &running, Signal::HUP)
}

/// The kernel does not end what an exited child started.
#[test]
fn the_group_of_an_exited_leader_is_ended() -> Result<()> {
    let lab = Lab::new()?;
    let mut parts = lab.parts();
    let exporter = parts[1].to_string_lossy().into_owned();
    parts[1] = lab.script("leaving-exporter", &format!("'{exporter}' \"$@\" &\nexec sleep 2"))?.into();
    lab.run(&["up"], &parts)?.expect_code(1)?.expect_stderr("exporter ended with exit status: 0")?;
    lab.expect_nothing_left()
}

#[test]
fn the_next_run_ends_what_a_killed_one_s_children_left() -> Result<()> {
    let lab = Lab::new()?;
    let mut parts = lab.parts();
    let exporter = parts[1].to_string_lossy().into_owned();
    parts[1] = lab.script("wrapper", &format!("'{exporter}' \"$@\" &\nwait"))?.into();
    let running = lab.start(&["up"], &parts)?;
    running.wait_for("prometheus  http://")?;
    running.signal(Signal::KILL)?;
    poll::until("its end", Duration::from_secs(10), Duration::from_millis(20), || match running.process.ended() {
        Some(_) => poll::Attempt::Ready(()),
        None => poll::Attempt::NotYet("it runs".into()),
    })?;
    let ended = lab.run(&["up"], &lab.parts_with_prometheus(&lab.prometheus_that("exit 3")?))?.expect_code(1)?;
    ended.expect_stderr("removed what run ")?;
    lab.expect_nothing_left()
}

/// `nohup lab up` is meant to outlive its terminal.
#[test]
fn a_hang_up_after_nohup_is_ignored() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start_nohup(&["up"], &lab.parts())?;
    let id = running.id()?;
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid()?.as_raw_nonzero()))?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).context("no SigIgn")?.trim();
    let hang_up = 1 << (Signal::HUP.as_raw() - 1);
    ensure!(u64::from_str_radix(ignored, 16)? & hang_up != 0, "SIGHUP is not ignored: {ignored}");
    running.signal(Signal::HUP)?;
    let status = lab.run(&["status"], &[])?.expect_code(0)?.stdout;
    ensure!(status.contains(&id) && status.contains("running"), "{status}");
    expect_a_quiet_end(&lab, &running, Signal::TERM)
}

#[test]
fn an_interrupt_during_the_start() -> Result<()> {
    let lab = Lab::bare()?;
    let running = lab.start(&["up"], &lab.parts_with_prometheus(&lab.prometheus_that("exec /bin/sleep 300")?))?;
    running.wait_for("start the exporter")?;
    let what = "three processes";
    e2e::wait::poll::until(what, Duration::from_secs(10), Duration::from_millis(20), || match lab.processes() {
        three if three.len() == 3 => e2e::wait::poll::Attempt::Ready(()),
        other => e2e::wait::poll::Attempt::NotYet(format!("{other:?}")),
    })?;
    running.signal(Signal::INT)?;
    lab.assert_snapshot("up_interrupted_during_the_start", &running.expect_code(0)?);
    expect_no_trace(&lab)
}

/// A pipeline whose time is up sends SIGTERM, and wants to know what took so long.
#[test]
fn a_terminated_check_keeps_its_evidence() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start(&["check"], &lab.parts())?;
    running.wait_for("pass exporter-ready")?;
    running.signal(Signal::TERM)?;
    let written = running.expect_code(1)?;
    ensure!(written.contains("interrupted") && !written.contains("FAIL"), "{written}");
    ensure!(lab.evidence().len() == 1 && lab.evidence()[0].join("report.json").is_file(), "{:?}", lab.evidence());
    lab.expect_nothing_left()
}

#[test]
fn a_signal_while_the_stack_stops_does_not_discard_the_report() -> Result<()> {
    let lab = Lab::new()?;
    let mut parts = lab.parts();
    let exporter = parts[1].to_string_lossy().into_owned();
    let body = format!("trap 'echo stopping; sleep 1; exit' TERM\n'{exporter}' \"$@\" &\nwhile :; do sleep 0.1; done");
    parts[1] = lab.script("slow-exporter", &body)?.into();
    let running = lab.start(&["check", "--only", "exporter-ready"], &parts)?;
    running.wait_for("pass exporter-ready")?;
    let log =
        lab.dir().join("mini-node-exporter/runs").join(lab.runs().first().context("no run")?).join("exporter.log");
    poll::until("the stop", Duration::from_secs(30), Duration::from_millis(20), || {
        if log::text(&log).contains("stopping") { Attempt::Ready(()) } else { Attempt::NotYet("it runs".into()) }
    })?;
    running.signal(Signal::TERM)?;
    let written = running.expect_code(0)?;
    ensure!(written.contains("1 passed, 0 failed"), "{written}");
    lab.expect_nothing_left()
}

#[test]
fn after_the_time_it_was_given() -> Result<()> {
    let lab = Lab::bare()?;
    let shown = lab.transcript(&["up", "--for", "1s", &ordinary_node()], &lab.parts())?;
    lab.assert_snapshot("up_for_a_second", &shown);
    expect_no_trace(&lab)
}

/// Whatever the checks say: it would hold up every node that is drained.
#[test]
fn an_exporter_that_has_to_be_killed_is_a_failure() -> Result<()> {
    let lab = Lab::bare()?;
    let mut parts = lab.parts();
    // A stand-in around the real one, which itself does end.
    let exporter = parts[1].to_string_lossy();
    let body = format!("trap '' TERM\n'{exporter}' \"$@\" &\nwhile :; do /bin/sleep 1; done");
    parts[1] = lab.script("stubborn-exporter", &body)?.into();
    let only = ["check", "--only", "exporter-ready"];
    lab.assert_snapshot("check_of_an_exporter_that_ignores_sigterm", &lab.transcript(&only, &parts)?);
    lab.expect_nothing_left()
}

/// SIGKILL leaves `lab` no time: the kernel ends the children, and the next run removes the directory.
#[test]
fn a_kill_takes_the_children_along() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start(&["up"], &lab.parts())?;
    running.wait_for("prometheus  http://")?;
    ensure!(lab.processes().len() == 3, "lab, exporter and Prometheus should run: {:?}", lab.processes());
    running.signal(Signal::KILL)?;
    lab.expect_no_process()?;
    let runs = lab.runs();
    ensure!(runs.len() == 1, "{runs:?}");

    let ended = lab.run(&["up"], &lab.parts_with_prometheus(&lab.prometheus_that("exit 3")?))?.expect_code(1)?;
    ended.expect_stderr(&format!("removed what run {} left behind", runs[0]))?;
    lab.expect_nothing_left()
}

#[test]
fn a_sweep_leaves_running_and_kept_runs() -> Result<()> {
    let lab = Lab::new()?;
    let living = lab.start(&["up"], &lab.parts_with_prometheus(&lab.prometheus_that("exec sleep 300")?))?;
    living.wait_for("start the exporter")?;
    let alive = lab.runs();
    ensure!(alive.len() == 1, "{alive:?}");
    let runs = lab.dir().join("mini-node-exporter/runs");
    for (id, mark) in [("1-abandoned", "lock"), ("1-kept", "kept")] {
        fs::create_dir(runs.join(id))?;
        fs::write(runs.join(id).join(mark), "")?;
    }
    let ended = lab.run(&["check", "--prometheus", "/bin/false"], &lab.parts()[..2])?.expect_code(1)?;
    ended.expect_stderr("removed what run 1-abandoned left behind")?;
    let mut left = lab.runs();
    left.sort();
    ensure!(left == ["1-kept".to_owned(), alive[0].clone()], "{left:?}, and {alive:?} is alive");

    // `down` is what removes a kept one.
    lab.run(&["down", "1-kept"], &[])?.expect_code(0)?;
    ensure!(lab.runs() == alive, "{:?}", lab.runs());
    living.signal(Signal::INT)?;
    living.expect_code(0)?;
    lab.expect_nothing_left()
}

fn expect_a_quiet_end(lab: &Lab, running: &Running, signal: Signal) -> Result<()> {
    running.signal(signal)?;
    let written = running.expect_code(0)?;
    ensure!(!written.contains("FAIL") && !written.contains("error: "), "{written}");
    expect_no_trace(lab)
}

fn expect_no_trace(lab: &Lab) -> Result<()> {
    ensure!(lab.evidence().is_empty(), "evidence of no failure: {:?}", lab.evidence());
    lab.expect_nothing_left()
}
