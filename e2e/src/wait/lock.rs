//! Locks between runs, for what only one of them may make at a time.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::poll::{self, Attempt};

/// Waits until no other run holds the lock, and says so to `note`. The lock is given back when the file is dropped, and
/// when the process dies.
pub fn hold(path: &Path, limit: Duration, note: impl Fn(&str)) -> Result<File> {
    const WAITING: &str = "another run holds the lock";
    let file = File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
    let what = format!("the lock {}", path.display());
    poll::until(&what, limit, Duration::from_millis(200), || match file.try_lock() {
        Ok(()) => Attempt::Ready(()),
        Err(TryLockError::WouldBlock) => {
            note(WAITING);
            Attempt::NotYet(WAITING.into())
        }
        Err(TryLockError::Error(error)) => Attempt::Failed(error.into()),
    })?;
    Ok(file)
}
