//! `lab down`: asks a running lab to end, or removes what a kept one holds.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::backend::sweep;
use e2e::run;
use e2e::terminal::exit::Exit;
use e2e::terminal::progress::Progress;
use e2e::wait::poll::{self, Attempt};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::Which;
use crate::which::choose;

pub fn down(which: &Which) -> Result<Exit> {
    let found = choose(which.id.as_deref())?;
    let progress = Progress::default();
    progress.step(&format!("end run {}", found.id), |_| {
        if !found.alive {
            return sweep::remove(&found);
        }
        let record = found.record.as_ref().with_context(|| format!("run {} has not told its process yet", found.id))?;
        // The run's lock is held, so the number still belongs to the process that wrote it.
        let pid = i32::try_from(record.pid).ok().and_then(Pid::from_raw).context("its record names no process")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("process {}", record.pid))?;
        poll::until("the lab gone", Duration::from_secs(120), Duration::from_millis(100), || match run::list() {
            Ok(runs) if runs.iter().all(|run| run.id != found.id) => Attempt::Ready(()),
            Ok(_) => Attempt::NotYet(format!("{} is still there", found.dir.display())),
            Err(error) => Attempt::Failed(error),
        })
    })?;
    Ok(Exit::Ok)
}
