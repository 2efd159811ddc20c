//! Ctrl-C and its relatives: the first one asks every wait to end, so that what was started is removed in order;
//! the second one ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

static SEEN: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

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

/// Whether a signal asked this process to end.
pub fn seen() -> bool {
    SEEN.load(Ordering::Relaxed)
}

/// Fails once a signal asked this process to end.
pub fn check() -> Result<(), Interrupted> {
    if seen() { Err(Interrupted) } else { Ok(()) }
}
