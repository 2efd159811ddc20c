//! A process of this very program that outlives the one that starts it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use duct::Handle;
use rustix::process::{Pid, Signal, kill_process, setsid};

use crate::wait::poll;

/// The variable that names the file of its output to it. No flag does, for it would be offered to people.
const LOG: &str = "LAB_DETACHED";

/// The process. Dropping it lets it go on.
pub struct Detached(Handle);

impl Detached {
    /// Starts this program with these arguments; both of its streams go to the file `log`, which is there already.
    pub fn start(args: &[OsString], log: &Path) -> Result<Self> {
        // Not `current_exe`: its path is gone as soon as a build replaces the file.
        let expression = duct::cmd("/proc/self/exe", args).stdin_null();
        let expression = expression.stderr_to_stdout().stdout_path(log).env(LOG, log).unchecked();
        Ok(Self(expression.start().context("no second process of `lab` could be started")?))
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.0.pids().first().copied()
    }

    /// The status with which it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten().map(|output| output.status)
    }

    /// Asks it to end, and waits for that.
    pub fn end(&self, limit: Duration) -> Result<()> {
        if let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let limit = limit.mul_f64(poll::patience());
        let ended = self.0.wait_timeout(limit)?.is_some();
        ensure!(ended, "it did not end within {:.0} s of SIGTERM", limit.as_secs_f64());
        Ok(())
    }
}

/// Where this process' output goes, if it is such a process. From now on neither the terminal that it was started from
/// nor its Ctrl-C reaches it.
pub fn enter() -> Result<Option<PathBuf>> {
    let log = std::env::var_os(LOG).map(PathBuf::from);
    if log.is_some() {
        setsid().context("the terminal cannot be left")?;
    }
    Ok(log)
}
