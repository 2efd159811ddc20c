//! Locks between runs, for what only one of them may make at a time.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::terminal::progress::Step;
use crate::wait::poll::{self, Attempt};

/// Waits until no other run holds the lock; it is given back when the file is dropped, and when the process dies.
pub fn hold(path: &Path, limit: Duration, step: &Step) -> Result<File> {
    const WAITING: &str = "another run is at it";
    let file = File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
    let what = format!("the lock {}", path.display());
    poll::until(&what, limit, Duration::from_millis(200), || match file.try_lock() {
        Ok(()) => Attempt::Ready(()),
        Err(TryLockError::WouldBlock) => {
            step.note(WAITING);
            Attempt::NotYet(WAITING.into())
        }
        Err(TryLockError::Error(error)) => Attempt::Failed(error.into()),
    })?;
    Ok(file)
}
