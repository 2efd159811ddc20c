//! Locks between runs, for what only one of them may do at a time.

use std::fs::TryLockError;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use fs_err::File;

use super::poll::{self, Attempt};

/// A lock that is held. It is released when it is dropped, and when the process dies.
#[must_use]
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Waits until no other run holds the lock, and tells `note` so. Without effect on a file system that has no locks.
pub fn hold(path: &Path, limit: Duration, note: impl Fn(&str)) -> Result<Lock> {
    const WAITING: &str = "another run holds the lock";
    let file = File::create(path)?;
    let what = format!("the lock {}", path.display());
    poll::until(&what, limit, Duration::from_millis(100), || match file.file().try_lock() {
        Ok(()) | Err(TryLockError::Error(_)) => Attempt::Ready(()),
        Err(TryLockError::WouldBlock) => {
            note(WAITING);
            Attempt::NotYet(WAITING.into())
        }
    })?;
    Ok(Lock(file))
}

/// As [`hold`], for what removes things: an interrupt does not end the wait. `None` if the lock is not free by then.
pub fn hold_shielded(path: &Path, limit: Duration) -> Option<Lock> {
    let deadline = Instant::now() + limit.mul_f64(poll::patience());
    let file = File::create(path).ok()?;
    while let Err(TryLockError::WouldBlock) = file.file().try_lock() {
        if Instant::now() >= deadline {
            return None;
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    Some(Lock(file))
}
