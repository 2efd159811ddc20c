//! When this process started, by the clock as it is set now.
//!
//! The kernel says how long after boot that was. When the boot was depends on the clock: a node without a battery boots
//! in 1970 and sets its clock later.

use std::sync::{Mutex, PoisonError};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// A smaller change is the time between two readings, or the clock being kept right: a start time that always moved
/// would look like a process that always restarts.
const STEP: f64 = 1.0;

/// The boot time that was last told, in seconds since the Unix epoch.
#[derive(Default)]
pub(super) struct StartTime(Mutex<f64>);

impl StartTime {
    /// In seconds since the Unix epoch, of what started so many seconds after boot.
    pub(super) fn of(&self, since_boot: f64) -> f64 {
        let boot = seconds(clock_gettime(ClockId::Realtime)) - seconds(clock_gettime(ClockId::Boottime));
        self.follow((boot * 100.0).round() / 100.0) + since_boot
    }

    fn follow(&self, boot: f64) -> f64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if (boot - *known).abs() >= STEP {
            *known = boot;
        }
        *known
    }
}

/// Exact to less than a microsecond for centuries.
#[allow(clippy::cast_precision_loss)]
fn seconds(time: Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_followed_and_one_that_drifts_is_not() {
        let start = StartTime::default();
        let told = [12.0, 12.9, 1_764_000_000.0, 1_764_000_000.4, 1_763_999_999.2, 1_763_999_999.0];
        let expected = [12.0, 12.0, 1_764_000_000.0, 1_764_000_000.0, 1_764_000_000.0, 1_763_999_999.0];
        assert_eq!(told.map(|boot| start.follow(boot).to_bits()), expected.map(f64::to_bits));
    }

    #[test]
    fn what_starts_now_starts_now() {
        let now = seconds(clock_gettime(ClockId::Realtime));
        let start = StartTime::default().of(seconds(clock_gettime(ClockId::Boottime)));
        assert!((start - now).abs() < 60.0, "{start} is not {now}");
    }
}
