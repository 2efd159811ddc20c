//! `lab up --detach`: another process of `lab` stays, in a session of its own, and this one ends as soon as that lab is
//! ready. What the other one writes goes to a file, which it moves into its run's directory when it is.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::process::detached::Detached;
use e2e::run::{self, Found};
use e2e::stack::JOB;
use e2e::stack::nodes::Nodes;
use e2e::terminal::exit::Exit;
use e2e::terminal::out::{self, Mark};
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use fs_err as fs;

use crate::{status, tables};

/// The name that the file gets; `lab logs` shows it, too.
pub const LOG: &str = "lab.log";

/// Every step of a start has a deadline of its own; a cluster whose images are made first takes longest.
const START: Duration = Duration::from_secs(60 * 60);

/// A cluster's deletion takes longest.
const END: Duration = Duration::from_secs(120);

/// The other process has ended, when it should have stayed.
#[derive(Debug, thiserror::Error)]
#[error("the lab did not start")]
struct NotStarted(ExitStatus);

pub fn detach(progress: &Progress) -> Result<Exit> {
    interrupt::listen()?;
    // Removed with this process, unless the other one has taken it over by then.
    let log = tempfile::Builder::new().prefix("starting-").suffix(".log").tempfile_in(workspace::state()?)?;
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let lab = Detached::start(&args, log.path())?;
    let said = || fs::read_to_string(log.path()).unwrap_or_default();
    let started = progress.step("start the lab in the background", |step| {
        poll::until("the lab's start", START, Duration::from_millis(50), || {
            if !log.path().exists() {
                return Attempt::Ready(());
            }
            let last = said().lines().next_back().unwrap_or_default().to_owned();
            step.note(&last);
            lab.ended().map_or(Attempt::NotYet(last), |status| Attempt::Failed(NotStarted(status).into()))
        })
    });
    if let Err(error) = started {
        if let Some(NotStarted(status)) = error.downcast_ref() {
            out::note(said().trim_end());
            return Ok(status.code().map_or(Exit::Failed, Exit::of_failure));
        }
        lab.end(END)?;
        return Err(error);
    }
    let pid = lab.pid().context("the lab has no process id")?;
    let is_ours = |run: &Found| run.alive && run.record.as_ref().is_some_and(|record| record.pid == pid);
    let run = run::list()?.into_iter().find(is_ours);
    let run = run.context("the lab has ended already")?;
    if let Some(prometheus) = status::links(&run)? {
        match Nodes::look(&prometheus, JOB) {
            Ok(seen) => out::line(&tables::nodes(&seen)?)?,
            Err(error) => progress.say(Mark::Warn, &format!("cannot list its nodes: {error:#}")),
        }
    }
    let id = &run.id;
    progress
        .line(&format!("run {id} goes on: `lab status {id}` and `lab logs {id}` look at it, `lab down {id}` ends it"));
    Ok(Exit::Ok)
}
