//! Commands over duct: every one has a deadline, a process group of its own, and an error that shows its command
//! line, its status and both of its streams.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use duct::Handle;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{guard, log, spawner};
use crate::terminal::out;
use crate::wait::{interrupt, poll};

/// A command that is run to its end.
#[must_use]
pub struct Cmd {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    unset: Vec<OsString>,
    dir: Option<PathBuf>,
    stdin: Option<String>,
    log: Option<PathBuf>,
    limit: Duration,
    shielded: bool,
}

/// What a command that succeeded wrote.
#[derive(Debug, Default)]
pub struct Output {
    /// Standard output; empty when it went to a log file.
    pub stdout: String,
    /// Standard error; empty when it went to a log file.
    pub stderr: String,
}

impl Cmd {
    /// A command with a deadline of 30 s; nothing runs yet.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            unset: Vec::new(),
            dir: None,
            stdin: None,
            log: None,
            limit: Duration::from_secs(30),
            shielded: false,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// Sets a variable in the command's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Takes the variables whose names begin with `prefix` out of the command's environment.
    pub fn without_env(mut self, prefix: &str) -> Self {
        self.unset.extend(variables(prefix));
        self
    }

    /// Sets the directory that the command runs in.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets what the command reads from standard input.
    pub fn stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// Sends both streams to a file, of which an error shows the end.
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// Sets the deadline, counted from the start; `LAB_PATIENCE` stretches it.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Lets the command finish after an interrupt: for what removes things.
    pub fn shielded(mut self) -> Self {
        self.shielded = true;
        self
    }

    /// Runs the command.
    pub fn run(self) -> Result<Output, CommandError> {
        self.run_with(&self.expression(None), || {})
    }

    /// Runs the command and hands over, while it works, the newest line of its log, or without one of its standard
    /// error, which then stays out of the output.
    pub fn run_with_progress(self, tell: impl Fn(&str)) -> Result<Output, CommandError> {
        let newest_of = |stream: &File| tail(stream, 1000).lines().last().unwrap_or_default().trim().to_owned();
        if let Some(log) = &self.log {
            return self.run_with(&self.expression(None), || {
                if let Ok(log) = fs_err::File::open(log) {
                    tell(&newest_of(log.file()));
                }
            });
        }
        // A file without a name: nothing is left of it, however this process ends.
        let opened = tempfile::tempfile().and_then(|stream| Ok((stream.try_clone()?, stream)));
        let (file, stream) = opened.map_err(|error| {
            let place = std::env::temp_dir();
            let error = format!("no temporary file in {}: {error}; set TMPDIR to a directory", place.display());
            let how = Failure::Start(io::Error::other(error));
            CommandError { argv: self.argv(), how, seconds: 0.0, log: None, output: Output::default() }
        })?;
        let expression = self.expression(Some(file));
        self.run_with(&expression, || tell(&newest_of(&stream))).map_err(|mut error| {
            error.output.stderr = tail(&stream, u64::MAX);
            error
        })
    }

    fn run_with(&self, expression: &duct::Expression, at_work: impl Fn()) -> Result<Output, CommandError> {
        let began = Instant::now();
        let fail = |how: Failure, output: Output| CommandError {
            argv: self.argv(),
            how,
            seconds: began.elapsed().as_secs_f64(),
            log: self.log.clone(),
            output,
        };
        let handle = spawner::start(expression).map_err(|error| fail(Failure::Start(error), Output::default()))?;
        let limit = self.limit.mul_f64(poll::patience());
        loop {
            match handle.wait_timeout(Duration::from_millis(100)) {
                Ok(Some(output)) => {
                    let (status, output) = (output.status, self.output(output));
                    return if status.success() { Ok(output) } else { Err(fail(Failure::Status(status), output)) };
                }
                Ok(None) if !self.shielded && interrupt::seen() => {
                    return Err(fail(Failure::Interrupted, self.end(&handle)));
                }
                Ok(None) if began.elapsed() >= limit => {
                    return Err(fail(Failure::Deadline(limit), self.end(&handle)));
                }
                Ok(None) => at_work(),
                Err(error) => return Err(fail(Failure::Start(error), self.end(&handle))),
            }
        }
    }

    /// Runs the command and gives its standard output without white space around it.
    pub fn read(self) -> Result<String, CommandError> {
        Ok(self.run()?.stdout.trim().to_owned())
    }

    fn expression(&self, stderr: Option<File>) -> duct::Expression {
        let (program, args) = guard::wrap(&self.program, &self.args);
        let mut expression = own_group(&duct::cmd(program, args)).unchecked();
        expression = match &self.stdin {
            Some(text) => expression.stdin_bytes(text.clone()),
            None => expression.stdin_null(),
        };
        expression = match (&self.log, stderr) {
            (Some(path), _) => expression.stderr_to_stdout().stdout_path(path),
            (None, Some(file)) => expression.stdout_capture().stderr_file(file),
            (None, None) => expression.stdout_capture().stderr_capture(),
        };
        // Of several values for one name duct takes the first, and the last is what is wanted.
        for (name, value) in self.env.iter().rev() {
            expression = expression.env(name, value);
        }
        for name in &self.unset {
            expression = expression.env_remove(name);
        }
        match &self.dir {
            Some(dir) => expression.dir(dir),
            None => expression,
        }
    }

    /// Kills the whole group: a grandchild could hold the pipes open.
    fn end(&self, handle: &Handle) -> Output {
        signal_group(handle, Signal::KILL);
        let last = handle.wait_timeout(Duration::from_secs(2)).ok().flatten();
        last.map(|output| self.output(output)).unwrap_or_default()
    }

    fn output(&self, output: &std::process::Output) -> Output {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match &self.log {
            Some(path) => Output { stdout: log::last(&log::text(path), 20), stderr: String::new() },
            None => Output { stdout: text(&output.stdout), stderr: text(&output.stderr) },
        }
    }

    fn argv(&self) -> String {
        let mut line = self.program.display().to_string();
        for arg in &self.args {
            let _ = write!(line, " {}", arg.to_string_lossy());
        }
        line
    }
}

/// A command's failure. `Display` shows the command line, the status and what the command wrote last.
#[derive(Debug, thiserror::Error)]
pub struct CommandError {
    argv: String,
    how: Failure,
    seconds: f64,
    log: Option<PathBuf>,
    output: Output,
}

#[derive(Debug)]
enum Failure {
    Start(io::Error),
    Status(std::process::ExitStatus),
    Deadline(Duration),
    Interrupted,
}

impl CommandError {
    /// Whether the program itself is not there.
    pub fn not_found(&self) -> bool {
        match &self.how {
            Failure::Start(error) => error.kind() == io::ErrorKind::NotFound,
            Failure::Status(status) => status.code() == Some(i32::from(guard::NOT_STARTED)),
            _ => false,
        }
    }

    /// The status code with which the command ended by itself.
    pub fn code(&self) -> Option<i32> {
        match &self.how {
            Failure::Status(status) => status.code(),
            _ => None,
        }
    }

    /// What the command wrote before it failed.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Whether the command was ended at its deadline.
    pub fn timed_out(&self) -> bool {
        matches!(self.how, Failure::Deadline(_))
    }

    /// Why the command failed, in one line: the last line that it wrote, standard error first, or how it ended.
    pub fn reason(&self) -> String {
        let last = |text: &str| text.trim_end().lines().last().map(out::plain).filter(|line| !line.is_empty());
        match (&self.how, last(&self.output.stderr).or_else(|| last(&self.output.stdout))) {
            (Failure::Status(_), Some(line)) => line,
            (how, Some(line)) => format!("{how}; its last line was: {line}"),
            (how, None) => format!("{how}, without output"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "cannot be run: {error}"),
            Self::Status(status) => write!(f, "failed with {status}"),
            Self::Deadline(limit) => write!(f, "timed out after {} s", limit.as_secs()),
            Self::Interrupted => f.write_str("was interrupted"),
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.argv, self.how)?;
        if !matches!(self.how, Failure::Start(_) | Failure::Deadline(_)) {
            write!(f, " after {:.1} s", self.seconds)?;
        }
        if let Some(log) = &self.log {
            write!(f, "; its log is {}", log.display())?;
        }
        for (name, text) in [("stdout", &self.output.stdout), ("stderr", &self.output.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n{}", log::quoted(&format!("{name} "), &log::last(text, 20)))?;
            }
        }
        Ok(())
    }
}

/// The variables of this process whose names begin with `prefix`.
pub(super) fn variables(prefix: &str) -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(move |name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// Gives an expression's child a process group of its own: a terminal's Ctrl-C then reaches only the harness, which
/// decides the order in which things end.
pub(crate) fn own_group(expression: &duct::Expression) -> duct::Expression {
    use std::os::unix::process::CommandExt as _;
    expression.before_spawn(|command| {
        command.process_group(0);
        Ok(())
    })
}

/// Sends a signal to a child's whole process group; one that is gone already is no error.
pub(crate) fn signal_group(handle: &Handle, signal: Signal) {
    for pid in handle.pids() {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, signal);
        }
    }
}

/// The last bytes of a file that another process writes, whose offset both share: it must not be moved.
fn tail(file: &File, bytes: u64) -> String {
    use std::os::unix::fs::FileExt as _;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut tail = vec![0; usize::try_from(length.min(bytes)).unwrap_or(0)];
    let _ = file.read_exact_at(&mut tail, length.saturating_sub(bytes));
    String::from_utf8_lossy(&tail).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    // A test binary cannot be the guard, so these see only what needs no child: the local tier runs real ones.

    fn failed(how: Failure, stdout: &str, stderr: &str) -> CommandError {
        let output = Output { stdout: stdout.into(), stderr: stderr.into() };
        CommandError { argv: "kind create cluster".into(), how, seconds: 3.1, log: None, output }
    }

    #[test]
    fn an_error_shows_the_command_its_end_and_both_streams() {
        let error = failed(Failure::Deadline(Duration::from_secs(3)), "one\n", "\u{1b}[31mtwo\u{1b}[0m\u{7}\n");
        assert_eq!(error.to_string(), "`kind create cluster` timed out after 3 s\n  stdout | one\n  stderr | two");
        assert_eq!(error.reason(), "timed out after 3 s; its last line was: two");
    }

    #[test]
    fn a_deadline_is_the_reason_where_nothing_was_written() {
        let error = failed(Failure::Deadline(Duration::from_secs(30)), "", "");
        assert_eq!(error.reason(), "timed out after 30 s, without output");
    }
}
