//! A `lab` that runs in the background, and how one has ended.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::process::child::Process;
use e2e::process::command::Cmd;
use e2e::process::log;
use e2e::wait::poll::{self, Attempt};
use rustix::process::{Pid, Signal, kill_process};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A `lab` that runs in the background. Its two streams come as one.
pub struct Running {
    pub process: Process,
    pub log: PathBuf,
}

impl Ended {
    /// Fails unless this is the code; the error shows both streams.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit code {}, not {code}\n{}\n{}", self.code, self.stdout, self.stderr);
        Ok(self)
    }

    /// Fails unless standard error holds this text.
    pub fn expect_stderr(self, text: &str) -> Result<Self> {
        ensure!(self.stderr.contains(text), "no `{text}` in:\n{}", self.stderr);
        Ok(self)
    }
}

impl Running {
    /// Waits for a text in what `lab` writes, and gives all that it wrote.
    pub fn wait_for(&self, text: &str) -> Result<String> {
        self.process
            .wait_for_line(&format!("`{text}`"), Duration::from_secs(60), |line| line.contains(text).then_some(()))
            .with_context(|| self.written())?;
        Ok(self.written())
    }

    /// Sends a signal to `lab` alone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    pub fn pid(&self) -> Result<Pid> {
        let pid = self.process.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        pid.context("lab has no process id")
    }

    /// Waits for the end, and fails unless this is the code.
    pub fn expect_code(&self, code: i32) -> Result<String> {
        let status = poll::until("lab's end", Duration::from_secs(30), Duration::from_millis(20), || {
            match self.process.ended() {
                Some(status) => Attempt::Ready(status),
                None => Attempt::NotYet(log::last(&self.written(), 3)),
            }
        })?;
        ensure!(status.code() == Some(code), "{status}, not {code}:\n{}", self.written());
        Ok(self.written())
    }

    /// The id that `lab up` tells.
    pub fn id(&self) -> Result<String> {
        let written = self.wait_for(" is up until ")?;
        let words = written.lines().find(|line| line.contains(" is up until "));
        let id = words.and_then(|line| line.split_whitespace().nth(1)).context("no id")?;
        Ok(id.to_owned())
    }

    /// All that it wrote so far.
    pub fn written(&self) -> String {
        log::text(&self.log)
    }
}

/// Runs a command of which any exit code may be what is wanted.
pub fn ended(command: Cmd) -> Result<Ended> {
    match command.run() {
        Ok(output) => Ok(Ended { code: 0, stdout: output.stdout, stderr: output.stderr }),
        Err(error) => match error.code() {
            Some(code) => {
                Ok(Ended { code, stdout: error.output().stdout.clone(), stderr: error.output().stderr.clone() })
            }
            None => Err(anyhow!("{error}")),
        },
    }
}
