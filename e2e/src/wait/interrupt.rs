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

/// Starts to listen for SIGINT, SIGTERM and SIGHUP, except for those that whoever started this process had it ignore:
/// `nohup lab` is meant to outlive its terminal, and a script's `lab &` its Ctrl-C.
pub fn listen() -> std::io::Result<()> {
    let ignored = ignored(&fs_err::read_to_string("/proc/self/status").unwrap_or_default());
    for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & 1 << (signal - 1) == 0) {
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

/// The signals that are ignored, one bit each, as the kernel writes them; none where it does not say.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_the_bits_of_the_kernel_s_mask() {
        assert_eq!(
            ignored("SigBlk:\t0000000000000004\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n"),
            0x1001
        );
        for unknown in ["", "SigIgn:", "SigIgn:\tnone"] {
            assert_eq!(ignored(unknown), 0);
        }
    }
}
