//! Exit codes.

use std::process::ExitCode;

/// The exit codes of `lab`, which are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// A check, a start or a part failed.
    Failed = 1,
    /// Invalid command line; clap uses the same code.
    Usage = 2,
    /// Nothing failed, but something was skipped because what it needs is missing.
    Skipped = 3,
}

impl Exit {
    /// The exit of another `lab` that ended with this code when it should not have ended at all.
    pub fn of_failure(code: i32) -> Self {
        if code == Self::Usage as i32 { Self::Usage } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An invalid command line that clap accepts.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
