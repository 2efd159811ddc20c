//! Children of the harness: they end with its process, whichever of its threads started them.

use std::ffi::OsString;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::process::child::Process;
use e2e::process::command::Cmd;
use e2e::wait::poll::{self, Attempt};
use fs_err as fs;

use crate::lab;

#[test]
fn a_child_outlives_the_thread_that_asked_for_it() -> Result<()> {
    lab::begin()?;
    let dir = tempfile::tempdir()?;
    let start = || {
        let args = ["-c", "echo up; exec sleep 300"].map(OsString::from);
        let child = Process::start("sleep", Path::new("/bin/sh"), &args, &[], dir.path().join("sleep.log"))?;
        // Only now has it asked for the signal.
        child.wait_for_line("`up`", Duration::from_secs(10), |line| (line == "up").then_some(()))?;
        anyhow::Ok(child)
    };
    let child = thread::scope(|scope| scope.spawn(start).join()).map_err(|_| anyhow!("the thread panicked"))??;
    // By then the kernel has sent every signal that the end of that thread brings.
    Cmd::new("sleep").arg("0.3").run()?;
    child.alive()?;
    let pid = child.pid();
    drop(child);
    ensure!(pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()), "process {pid:?} is left");
    Ok(())
}

/// What it left running in its group gets the signals.
#[test]
fn the_group_of_an_exited_leader_is_stopped() -> Result<()> {
    lab::begin()?;
    let dir = tempfile::tempdir()?;
    let args = ["-c", "sleep 300 & echo $!"].map(OsString::from);
    let leader = Process::start("leader", Path::new("/bin/sh"), &args, &[], dir.path().join("leader.log"))?;
    let pid = leader.wait_for_line("a process id", Duration::from_secs(10), |line| line.parse::<u32>().ok())?;
    poll::until("its end", Duration::from_secs(10), Duration::from_millis(20), || match leader.ended() {
        Some(_) => Attempt::Ready(()),
        None => Attempt::NotYet("it runs".into()),
    })?;
    let state = || fs::read_to_string(format!("/proc/{pid}/stat")).ok()?.rsplit(") ").next()?.chars().next();
    ensure!(state() == Some('S'), "{pid} does not run");
    leader.stop().context("the leader")?;
    poll::until("the end of its child", Duration::from_secs(5), Duration::from_millis(20), || match state() {
        None | Some('Z') => Attempt::Ready(()),
        Some(state) => Attempt::NotYet(format!("{pid} is in state {state}")),
    })
}
