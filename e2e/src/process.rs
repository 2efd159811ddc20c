//! Processes that live as long as the lab: started under guard, written to a log file, ended as a group.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use duct::Handle;
use rustix::process::Signal;

use crate::command::{last_lines, own_group, signal_group};
use crate::guard;
use crate::poll::{self, Attempt};

/// How long a process gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(6);

/// A running child. Dropping it kills its group.
#[must_use]
pub struct Process {
    name: &'static str,
    handle: Handle,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with its two streams in `log`.
    ///
    /// # Errors
    ///
    /// The program or the log file cannot be opened.
    pub fn start(
        name: &'static str,
        program: &Path,
        args: &[OsString],
        env: &[(&str, OsString)],
        log: PathBuf,
    ) -> Result<Self> {
        let (guarded, args) = guard::wrap(program, args);
        let mut expression = own_group(&duct::cmd(guarded, args)).stdin_null().stderr_to_stdout().stdout_path(&log);
        for (name, value) in env {
            expression = expression.env(name, value);
        }
        let handle = expression
            .unchecked()
            .start()
            .with_context(|| format!("{name}: {} could not be started", program.display()))?;
        Ok(Self { name, handle, log })
    }

    /// What the process is in the lab: `exporter`, `prometheus`, `grafana`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.handle.pids().first().copied()
    }

    /// The status with which the process ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        self.handle.try_wait().ok().flatten().map(|output| output.status)
    }

    /// Fails once the process has ended; the error ends in its last log lines.
    ///
    /// # Errors
    ///
    /// The process is not running any more.
    pub fn alive(&self) -> Result<()> {
        match self.handle.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(output)) => Err(anyhow!("{} ended with {}{}", self.name, output.status, self.last_words())),
            Err(error) => Err(anyhow!("{} cannot be waited for: {error}", self.name)),
        }
    }

    /// Everything it has logged.
    #[must_use]
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether the process has ended because its address was taken by another.
    #[must_use]
    pub fn found_address_taken(&self) -> bool {
        let words = last_lines(&self.log, 5).to_lowercase();
        self.alive().is_err() && ["address already in use", "address in use"].iter().any(|text| words.contains(text))
    }

    /// Waits for a line of the log in which `find` sees what it looks for.
    ///
    /// # Errors
    ///
    /// The process ended first, or the deadline passed; both show the last log lines.
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
    ///
    /// # Errors
    ///
    /// The process ended first, or the deadline passed.
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

    /// Ends the process: SIGTERM, a grace of 6 s, then SIGKILL.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
        if !matches!(self.handle.wait_timeout(GRACE), Ok(Some(_))) {
            self.kill();
        }
    }

    fn kill(&self) {
        self.signal(Signal::KILL);
        let _ = self.handle.wait_timeout(Duration::from_secs(2));
    }

    fn last_words(&self) -> String {
        let lines = telling(&last_lines(&self.log, usize::MAX));
        if lines.is_empty() {
            "; its log is empty".into()
        } else {
            format!("; its last log lines:\n{}", indent(&lines))
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
    }
}

/// The last lines of a log, and before them the last that speak of an error: what a server fails of it often says long
/// before it has put everything down.
fn telling(log: &str) -> String {
    const LAST: usize = 8;
    const ERRORS: usize = 4;
    let lines: Vec<&str> = log.lines().collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(LAST));
    let mut errors: Vec<&str> = before
        .iter()
        .copied()
        .rev()
        .filter(|line| logfmt_field(line, "level").is_some_and(|level| level.eq_ignore_ascii_case("error")))
        .take(ERRORS)
        .collect();
    errors.reverse();
    errors.extend_from_slice(last);
    errors.join("\n")
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

/// The value of a field of one logfmt line: `msg="Listening on" address=127.0.0.1:9090`.
#[must_use]
pub fn logfmt_field<'l>(line: &'l str, field: &str) -> Option<&'l str> {
    let start = line.match_indices(field).find_map(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + field.len()..].strip_prefix('=')?;
        before.is_none_or(char::is_whitespace).then_some(after)
    })?;
    match start.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => start.split_whitespace().next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_error_is_among_the_last_words() {
        let mut log = vec!["level=info msg=a", "time=1 level=ERROR msg=why", "level=info msg=b"];
        let end: Vec<String> = (0..8).map(|count| format!("level=info msg={count}")).collect();
        log.extend(end.iter().map(String::as_str));
        assert_eq!(telling(&log.join("\n")), format!("time=1 level=ERROR msg=why\n{}", end.join("\n")));
        assert_eq!(telling("one\ntwo"), "one\ntwo");
        assert_eq!(telling(""), "");
    }

    #[test]
    fn fields_of_both_log_styles_are_found() {
        let old =
            r#"ts=2026 caller=tls_config.go:313 level=info component=web msg="Listening on" address=127.0.0.1:41235"#;
        let new = r#"time=2026 level=INFO source=x.go:1 msg="Listening on" component=web address=[::]:9090"#;
        assert_eq!(logfmt_field(old, "msg"), Some("Listening on"));
        assert_eq!(logfmt_field(old, "address"), Some("127.0.0.1:41235"));
        assert_eq!(logfmt_field(new, "address"), Some("[::]:9090"));
        assert_eq!(logfmt_field(new, "addr"), None);
        assert_eq!(logfmt_field("xaddress=1", "address"), None);
    }
}
