//! When the node booted, by the clock on the wall, from which the kernel counts this process's start.
//!
//! `/proc/stat` says it, and is long and slow on a node with many cores, so that it is read once. And again when the
//! clock has been set, for a node without a battery is in 1970 until it has asked the time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::procfs::{BootTime, ProcRoot};

/// What the kernel has said, and when that was by both clocks: neither costs a system call to look at.
#[derive(Debug, Default)]
pub(super) struct BootClock(Mutex<Option<Said>>);

#[derive(Clone, Copy, Debug)]
struct Said {
    boot: BootTime,
    wall: SystemTime,
    steady: Instant,
}

/// The two clocks are not looked at in the same moment.
const TOLERANCE: Duration = Duration::from_secs(1);

impl BootClock {
    /// When the node booted, in seconds since the Unix epoch; none while the kernel does not say it.
    pub(super) fn boot(&self, root: &ProcRoot) -> Option<u64> {
        self.boot_at(SystemTime::now(), Instant::now(), || BootTime::read(root).ok())
    }

    fn boot_at(&self, wall: SystemTime, steady: Instant, ask: impl FnOnce() -> Option<BootTime>) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.is_some_and(|said| said.holds(wall, steady)) {
            *said = ask().map(|boot| Said { boot, wall, steady });
        }
        said.map(|said| said.boot.0)
    }
}

impl Said {
    /// Whether both clocks have gone on by the same time. They have not after a sleep of the node either; the kernel's
    /// answer is then the same again.
    fn holds(self, wall: SystemTime, steady: Instant) -> bool {
        let steadily = steady.saturating_duration_since(self.steady);
        wall.duration_since(self.wall).is_ok_and(|passed| passed.abs_diff(steadily) < TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const BLINK: Duration = Duration::from_millis(900);

    /// The kernel has answered, now by both clocks.
    fn said(boot: u64) -> (BootClock, SystemTime, Instant) {
        let (start, wall, steady) = (BootClock::default(), SystemTime::now(), Instant::now());
        assert_eq!(start.boot_at(wall, steady, || Some(BootTime(boot))), Some(boot));
        (start, wall, steady)
    }

    #[test]
    fn the_kernel_is_asked_once_while_the_clocks_agree() {
        let (start, wall, steady) = said(7);
        for (wall, steady) in [
            (wall, steady),
            (wall + HOUR, steady + HOUR),
            (wall + HOUR + BLINK, steady + HOUR),
            (wall + HOUR, steady + HOUR + BLINK),
        ] {
            assert_eq!(start.boot_at(wall, steady, || panic!("asked again")), Some(7));
        }
    }

    #[test]
    fn it_is_asked_again_when_the_clock_has_been_set() {
        for (forward, backward, passed) in [
            (HOUR, Duration::ZERO, BLINK),
            (Duration::ZERO, HOUR, BLINK),
            (BLINK, BLINK, HOUR),
            (TOLERANCE, Duration::ZERO, Duration::ZERO),
        ] {
            let (start, wall, steady) = said(7);
            let (wall, steady) = (wall + forward - backward, steady + passed);
            assert_eq!(start.boot_at(wall, steady, || Some(BootTime(9))), Some(9));
            assert_eq!(start.boot_at(wall + HOUR, steady + HOUR, || panic!("asked again")), Some(9));
        }
    }

    #[test]
    fn no_answer_is_none_and_asked_for_again() {
        let (start, wall, steady) = (BootClock::default(), SystemTime::now(), Instant::now());
        assert_eq!(start.boot_at(wall, steady, || None), None);
        assert_eq!(start.boot_at(wall, steady, || Some(BootTime(7))), Some(7));
        // What was said before the clock was set is not repeated.
        assert_eq!(start.boot_at(wall + HOUR, steady, || None), None);
    }

    #[test]
    fn the_kernels_own_word_is_taken() {
        let root = ProcRoot::default();
        assert_eq!(BootClock::default().boot(&root), BootTime::read(&root).ok().map(|boot| boot.0));
    }
}
