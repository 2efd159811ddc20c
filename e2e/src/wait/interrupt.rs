//! Ctrl-C and its relatives: the first one asks every wait to end, so that what was started is removed in order;
//! the second one ends the process at once.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

static SEEN: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The file with which another process asks this one to end.
static ASKED: OnceLock<PathBuf> = OnceLock::new();

/// The status of a process that a second signal ended, as shells report SIGINT.
const ENDED_BY_SECOND_SIGNAL: i32 = 130;

/// The error with which a wait ends after SIGINT, SIGTERM or SIGHUP.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Starts to listen for SIGINT, SIGTERM and SIGHUP.
pub fn listen() -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // The order matters: the shutdown looks at the flag that the first signal has set.
        flag::register_conditional_shutdown(signal, ENDED_BY_SECOND_SIGNAL, Arc::clone(&SEEN))?;
        flag::register(signal, Arc::clone(&SEEN))?;
    }
    Ok(())
}

/// Takes it as an interrupt when this file appears, too. The first file counts.
pub fn listen_to(file: PathBuf) {
    let _ = ASKED.set(file);
}

/// Whether this process was asked to end.
pub fn seen() -> bool {
    if ASKED.get().is_some_and(|file| file.exists()) {
        // For good: the file goes with the run.
        SEEN.store(true, Ordering::Relaxed);
    }
    SEEN.load(Ordering::Relaxed)
}

/// Fails once this process was asked to end.
pub fn check() -> Result<(), Interrupted> {
    if seen() { Err(Interrupted) } else { Ok(()) }
}
