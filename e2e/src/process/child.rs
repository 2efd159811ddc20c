//! Processes that live as long as the lab: started under guard, written to a log file, ended as a group.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use duct::Handle;
use rustix::process::Signal;

use super::command::{self, own_group, signal_group};
use super::{guard, leftover, log, spawner};
use crate::wait::poll::{self, Attempt};

/// How long a process gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// A running child. Dropping it kills its group.
#[must_use]
pub struct Process {
    name: &'static str,
    handle: Handle,
    log: PathBuf,
    /// Whether its group was killed: the id of a group that has ended may soon be another's.
    killed: AtomicBool,
}

impl Process {
    /// Starts `program` in the directory of `log`, which gets both of its streams.
    pub fn start(
        name: &'static str,
        program: &Path,
        args: &[OsString],
        env: &[(&str, OsString)],
        log: PathBuf,
    ) -> Result<Self> {
        let dir = log.parent().context("a log in no directory")?.to_owned();
        Self::start_in(&dir, name, program, args, env, log)
    }

    /// As [`Process::start`], in another directory.
    pub fn start_in(
        dir: &Path,
        name: &'static str,
        program: &Path,
        args: &[OsString],
        env: &[(&str, OsString)],
        log: PathBuf,
    ) -> Result<Self> {
        let (guarded, args) = guard::wrap(program, args);
        let mut expression = own_group(&duct::cmd(guarded, args)).stdin_null().stderr_to_stdout().stdout_path(&log);
        expression = expression.dir(dir).env(leftover::MARK, log.parent().unwrap_or(dir));
        for (name, value) in env {
            expression = expression.env(name, value);
        }
        // `GF_DATABASE_URL` of the shell would open somebody else's database.
        for name in command::variables("GF_") {
            expression = expression.env_remove(name);
        }
        let handle = spawner::start(&expression.unchecked())
            .with_context(|| format!("cannot start {name}: {}", program.display()))?;
        Ok(Self { name, handle, log, killed: AtomicBool::new(false) })
    }

    /// What the process is in the lab: `exporter`, `prometheus`, `grafana`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.handle.pids().first().copied()
    }

    /// The status with which the process ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.handle.try_wait().ok().flatten().map(|output| output.status)
    }

    /// Fails once the process has ended; the error ends in its last log lines.
    pub fn alive(&self) -> Result<()> {
        match self.handle.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(output)) => Err(anyhow!("{} ended with {}{}", self.name, output.status, self.last_lines())),
            Err(error) => Err(anyhow!("cannot wait for {}: {error}", self.name)),
        }
    }

    /// Everything it has logged.
    pub fn log_text(&self) -> String {
        log::text(&self.log)
    }

    /// Whether the process has ended because its address was taken by another.
    pub fn found_address_taken(&self) -> bool {
        let words = log::last(&self.log_text(), 5).to_lowercase();
        self.alive().is_err() && ["address already in use", "address in use"].iter().any(|text| words.contains(text))
    }

    /// Waits until `find` returns a value for a line of the log.
    pub fn wait_for_line<T>(&self, what: &str, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        poll::until(&format!("{}: {what}", self.name), limit, Duration::from_millis(20), || {
            // First whether it runs, then the log: a line written just before the end is not missed.
            let alive = self.alive();
            let text = self.log_text();
            match (text.lines().find_map(&find), alive) {
                (Some(found), _) => Attempt::Ready(found),
                (None, Err(ended)) => Attempt::Failed(ended),
                (None, Ok(())) => Attempt::NotYet(text.lines().last().unwrap_or("an empty log").to_owned()),
            }
        })
    }

    /// Waits until an attempt succeeds, for as long as the process runs.
    pub fn wait_until(&self, what: &str, limit: Duration, attempt: impl Fn() -> Result<()>) -> Result<()> {
        poll::until(&format!("{} {what}", self.name), limit, Duration::from_millis(50), || {
            match (attempt(), self.alive()) {
                (Ok(()), Ok(())) => Attempt::Ready(()),
                (_, Err(ended)) => Attempt::Failed(ended),
                (Err(seen), Ok(())) => Attempt::NotYet(format!("{seen:#}")),
            }
        })
    }

    /// Sends one signal to the process' group.
    pub fn signal(&self, signal: Signal) {
        signal_group(&self.handle, signal);
    }

    /// Ends the process: SIGTERM, a grace of 10 s, then SIGKILL, which is an error. The rest of its group is killed.
    pub fn stop(&self) -> Result<()> {
        if self.killed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let grace = GRACE.mul_f64(poll::patience());
        self.signal(Signal::TERM);
        let ended = matches!(self.handle.wait_timeout(grace), Ok(Some(_)));
        self.kill();
        if ended {
            return Ok(());
        }
        bail!("{} was killed: it did not end within {:.0} s of SIGTERM", self.name, grace.as_secs_f64())
    }

    fn kill(&self) {
        if self.killed.swap(true, Ordering::Relaxed) {
            return;
        }
        self.signal(Signal::KILL);
        let _ = self.handle.wait_timeout(Duration::from_secs(2));
    }

    fn last_lines(&self) -> String {
        let lines = log::key_lines(&self.log_text());
        if lines.is_empty() {
            "; its log is empty".into()
        } else {
            format!("; its last log lines:\n{}", log::quoted("", &lines))
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
