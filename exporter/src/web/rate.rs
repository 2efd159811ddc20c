//! A token bucket: so many requests at once, then one an interval.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::config::Rate;

pub(super) struct Bucket {
    pub(super) rate: Rate,
    began: Instant,
    /// When the bucket will be full again, counted from the beginning.
    full_at: Mutex<Duration>,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, began: Instant::now(), full_at: Mutex::default() }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(self.began.elapsed())
    }

    fn take_at(&self, now: Duration) -> bool {
        let Rate { interval, burst } = self.rate;
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*full_at).max(now).saturating_add(interval);
        let allowed = after.saturating_sub(now) <= interval.saturating_mul(burst);
        if allowed {
            *full_at = after;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_an_interval() {
        let bucket = Bucket::new(Rate { interval: Duration::from_secs(1), burst: 3 });
        let taken = |millis| bucket.take_at(Duration::from_millis(millis));
        assert!(taken(0) && taken(0) && taken(10) && !taken(20) && !taken(999));
        assert!(taken(1000) && !taken(1001));
        assert!(taken(2500) && !taken(2900));
        assert!(taken(60_000) && taken(60_000) && taken(60_000) && !taken(60_000), "it holds no more than a burst");
    }

    #[test]
    fn the_longest_interval_overflows_nothing() {
        let bucket = Bucket::new(Rate { interval: Duration::MAX, burst: u32::MAX });
        assert!(bucket.take() && bucket.take());
    }
}
