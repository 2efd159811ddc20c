//! Children of the harness: they end with its process, whichever of its threads started them.

use std::ffi::OsString;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use e2e::process::child::Process;
use e2e::process::command::Cmd;

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
