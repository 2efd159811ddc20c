//! SIGINT, SIGTERM and SIGHUP: the first signal ends every wait, so that what was started is removed in order; a later one
//! ends the process at once.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

static SEEN: AtomicBool = AtomicBool::new(false);

/// The file with which another process asks this one to end.
static ASKED: OnceLock<PathBuf> = OnceLock::new();

/// The status of a process that a later signal ended, as shells report SIGINT.
const ENDED_BY_LATER_SIGNAL: i32 = 130;

/// A signal this soon after the first repeats it: where a terminal is closed, the shell and the kernel both send SIGHUP.
const REPEATED: Duration = Duration::from_secs(1);

/// The error with which a wait ends after SIGINT, SIGTERM or SIGHUP.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Starts to listen for SIGINT, SIGTERM and SIGHUP, except for those that this process was started to ignore: `nohup lab`
/// is meant to outlive its terminal, and a script's `lab &` its Ctrl-C.
pub fn listen() -> std::io::Result<()> {
    let ignored = ignored(&fs_err::read_to_string("/proc/self/status").unwrap_or_default());
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & 1 << (signal - 1) == 0);
    let mut signals = Signals::new(heard)?;
    thread::spawn(move || {
        let mut signals = signals.forever();
        let first = signals.next().map(|_| Instant::now());
        SEEN.store(true, Ordering::Relaxed);
        if signals.any(|_| first.is_some_and(|first| first.elapsed() >= REPEATED)) {
            low_level::exit(ENDED_BY_LATER_SIGNAL);
        }
    });
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

/// The signals that are ignored, one bit each, as the kernel writes them; none if the line is missing.
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
