//! Children that cannot outlive their parent, without unsafe code: a child starts as this very program, asks the
//! kernel for SIGKILL upon its parent's death, and only then becomes the program that is wanted.
//!
//! Linux only; elsewhere the next run sweeps what is left.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::terminal::out;

/// The hidden subcommand: `__guard PPID -- PROG ARGS…`.
const WORD: &str = "__guard";

/// The shell's status for a command that could not be started.
pub const NOT_STARTED: u8 = 127;

/// The program that can be a guard: `lab`, by its own path or as a test names it.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names the program that guards this process' children, for processes that cannot do it themselves, such as tests.
pub fn through(program: impl Into<PathBuf>) {
    PROGRAM.get_or_init(|| program.into());
}

/// The program that guards, which is `lab`, if one does.
pub fn program() -> Option<&'static Path> {
    PROGRAM.get().map(PathBuf::as_path)
}

/// The program and arguments that start `program` under guard, or as it is where nothing can guard it.
pub fn wrap(program: &Path, args: &[OsString]) -> (OsString, Vec<OsString>) {
    let Some(guard) = PROGRAM.get().filter(|_| cfg!(target_os = "linux")) else {
        return (program.into(), args.to_vec());
    };
    let mut guarded: Vec<OsString> = vec![WORD.into(), std::process::id().to_string().into(), "--".into()];
    guarded.push(program.into());
    guarded.extend_from_slice(args);
    (guard.into(), guarded)
}

/// Becomes the guarded program when the command line asks for it; otherwise this program guards its own children from
/// now on. `lab` calls it before anything else.
#[must_use = "a guard that could not become its program has to exit"]
pub fn enter() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|word| word != WORD) {
        // Not `current_exe`: its path is gone as soon as a build replaces the file.
        through("/proc/self/exe");
        return None;
    }
    let parent = args.next().and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    if args.next().as_deref() != Some(OsStr::new("--")) {
        return Some(fail(&"usage: __guard PPID -- PROG ARGS…"));
    }
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return Some(fail(&error));
    }
    // The parent may have died before the request above; then no signal will ever come.
    if parent.is_none() || getppid() != parent {
        return Some(fail(&"the parent process has exited"));
    }
    let Some(program) = args.next() else { return Some(fail(&"no program named")) };
    let error = Command::new(&program).args(args).exec();
    Some(fail(&format!("{}: {error}", program.display())))
}

fn fail(reason: &dyn std::fmt::Display) -> ExitCode {
    out::note(&reason.to_string());
    ExitCode::from(NOT_STARTED)
}
