//! `lab up --detach`: the lab goes on when its command has ended, and is as easily ended as any other.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::wait::poll::{self, Attempt};
use fs_err as fs;
use rustix::process::Signal;

use crate::lab::{Lab, ordinary_node};

#[test]
pub fn a_lab_runs_in_the_background_until_it_is_stopped() -> Result<()> {
    let lab = Lab::new()?;
    let ended = lab.run(&["up", "--detach", &ordinary_node()], &lab.parts())?.expect_code(0)?;
    for text in ["local  running", "prometheus  http://127.0.0.1:", "worker-1  1761.77"] {
        ensure!(ended.stdout.contains(text), "no `{text}` in:\n{}", ended.stdout);
    }
    let id = ended.stdout.split_whitespace().nth(1).context("no id")?.to_owned();
    ended.expect_stderr(&format!("`lab down {id}` stops it"))?;
    ensure!(lab.processes().len() == 3, "lab, exporter and Prometheus should run: {:?}", lab.processes());
    // A session of its own: nothing that happens to the terminal reaches it.
    let status = lab.run(&["status"], &[])?.expect_code(0)?.stdout;
    let pid = status.lines().next().and_then(|run| run.rsplit_once("  process ")).context("no process id")?.1;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let session = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3)).context("no session")?;
    ensure!(session == pid, "the session of {pid} is {session}");
    let logs = lab.run(&["logs"], &[])?.expect_code(0)?.stdout;
    ensure!(
        logs.contains("lab | run ") && logs.contains("is up until `lab down`; then everything is removed"),
        "{logs}"
    );

    lab.run(&["down"], &[])?.expect_code(0)?;
    // At once: `down` returns when everything is gone, but for the process of the lab itself.
    let left: Vec<_> =
        lab.processes().into_iter().filter(|(_, name)| !["exe", "lab"].contains(&name.as_str())).collect();
    ensure!(left.is_empty() && lab.runs().is_empty(), "left after `lab down`: {left:?}, {:?}", lab.runs());
    expect_nothing_left(&lab)
}

/// Without a command, too: the flags are those of `up`.
#[test]
fn a_start_that_fails_is_reported() -> Result<()> {
    let lab = Lab::new()?;
    let stand_in = lab.prometheus_that("echo 'no space left for samples' >&2; exit 3")?;
    let ended = lab.run(&["--detach"], &lab.parts_with_prometheus(&stand_in))?.expect_code(1)?;
    let ended = ended.expect_stderr("FAIL start the lab in the background")?;
    ended.expect_stderr("no space left for samples")?.expect_stderr("the lab did not start; its logs are in ")?;
    let ended = lab.run(&["up", "--detach", "--keep"], &[])?.expect_code(2)?;
    ended.expect_stderr("error: `--keep` needs `--backend kind`")?;
    expect_nothing_left(&lab)
}

#[test]
fn an_interrupt_before_it_is_ready_ends_it() -> Result<()> {
    let lab = Lab::new()?;
    let parts = lab.parts_with_prometheus(&lab.prometheus_that("exec sleep 300")?);
    let waiting = lab.start(&["up", "--detach"], &parts)?;
    poll::until("four processes", Duration::from_secs(20), Duration::from_millis(20), || match lab.processes() {
        four if four.len() == 4 => Attempt::Ready(()),
        other => Attempt::NotYet(format!("{other:?}")),
    })?;
    waiting.signal(Signal::INT)?;
    let written = waiting.expect_code(1)?;
    ensure!(written.ends_with("error: interrupted\n"), "{written}");
    expect_nothing_left(&lab)
}

/// A cluster's logs are those of its pods, and beside them is what the lab itself wrote.
#[test]
fn the_log_of_a_cluster_s_lab_is_shown() -> Result<()> {
    let lab = Lab::bare()?;
    lab.script("bin/kubectl", "case $* in version*) echo 'Client Version: v1.32.3' ;; *) echo 'of a pod' ;; esac")?;
    lab.keep_cluster()?;
    let logs = lab.run(&["logs"], &[])?.expect_code(0)?.stdout;
    ensure!(logs == "lab | run 1-1 is up until `lab down`\nof a pod\n", "{logs}");
    Ok(())
}

fn expect_nothing_left(lab: &Lab) -> Result<()> {
    let state = fs::read_dir(lab.dir().join("mini-node-exporter"))?.flatten();
    let logs: Vec<_> =
        state.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().ends_with(".log")).collect();
    ensure!(logs.is_empty(), "{logs:?}");
    lab.expect_nothing_left()
}
