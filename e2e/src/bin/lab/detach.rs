//! `lab up --detach`: another process of `lab` stays, in a session of its own, and this one ends as soon as that lab is
//! ready. What the other one writes goes to a file, which it moves into its run's directory when it is.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::run::{self, Found};
use e2e::stack::nodes::Nodes;
use e2e::terminal::exit::Exit;
use e2e::terminal::out::{self, Mark};
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process, setsid};

use crate::{status, tables};

/// The name that the file gets; `lab logs` shows it, too.
pub const LOG: &str = "lab.log";

/// The variable that names the file to the other process. A flag would be offered to people.
const DETACHED: &str = "LAB_DETACHED";

/// Every step of a start has a deadline of its own; a cluster whose images are made first takes longest.
const START: Duration = Duration::from_secs(60 * 60);

/// A cluster's deletion takes longest.
const END: Duration = Duration::from_secs(120);

/// The other process exited instead of staying.
#[derive(Debug, thiserror::Error)]
#[error("the lab did not start")]
struct NotStarted(ExitStatus);

/// The file of this process' output, if it is the other process. From now on neither the terminal that it was started from
/// nor its Ctrl-C reaches it.
pub fn enter() -> Result<Option<PathBuf>> {
    let log = std::env::var_os(DETACHED).map(PathBuf::from);
    if log.is_some() {
        setsid().context("cannot leave the terminal")?;
    }
    Ok(log)
}

pub fn detach(progress: &Progress) -> Result<Exit> {
    interrupt::listen()?;
    // Removed with this process, unless the other one has taken it over by then.
    let log = tempfile::Builder::new().prefix("starting-").suffix(".log").tempfile_in(workspace::state()?)?;
    let output = log.reopen()?;
    // Not `current_exe`: its path is gone as soon as a build replaces the file.
    let mut lab = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(DETACHED, log.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("cannot start a second process of `lab`")?;
    let said = || fs::read_to_string(log.path()).unwrap_or_default();
    let started = progress.step("start the lab in the background", |step| {
        poll::until("the lab's start", START, Duration::from_millis(50), || {
            if !log.path().exists() {
                return Attempt::Ready(());
            }
            let last = said().lines().next_back().unwrap_or_default().to_owned();
            step.note(&last);
            match lab.try_wait() {
                Ok(None) => Attempt::NotYet(last),
                Ok(Some(status)) => Attempt::Failed(NotStarted(status).into()),
                Err(error) => Attempt::Failed(error.into()),
            }
        })
    });
    if let Err(error) = started {
        if let Some(NotStarted(status)) = error.downcast_ref() {
            out::note(said().trim_end());
            return Ok(status.code().map_or(Exit::Failed, Exit::of_failure));
        }
        end(&mut lab)?;
        return Err(error);
    }
    let is_ours = |run: &Found| run.alive && run.record.as_ref().is_some_and(|record| record.pid == lab.id());
    let run = run::list()?.into_iter().find(is_ours);
    let run = run.context("the lab has ended already")?;
    if let Some(prometheus) = status::links(&run)? {
        match Nodes::query(&prometheus) {
            Ok(seen) => out::line(&tables::nodes(&seen)?)?,
            Err(error) => progress.say(Mark::Warn, &format!("cannot list its nodes: {error:#}")),
        }
    }
    let id = &run.id;
    progress.line(&format!(
        "run {id} is in the background: `lab status {id}` and `lab logs {id}` show it, `lab down {id}` stops it"
    ));
    Ok(Exit::Ok)
}

/// Asks the process to end, after an interrupt of this one, and waits for that.
fn end(lab: &mut Child) -> Result<()> {
    kill_process(Pid::from_child(lab), Signal::TERM)?;
    let deadline = Instant::now() + END.mul_f64(poll::patience());
    while lab.try_wait()?.is_none() {
        ensure!(Instant::now() < deadline, "the lab (process {}) did not end after SIGTERM", lab.id());
        thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}
