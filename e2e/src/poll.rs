//! Waiting: every wait has a deadline, reports what it last saw, and ends at once on an interrupt.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// What one attempt of a poll saw.
pub enum Attempt<T> {
    /// What was waited for, and the end of the wait.
    Ready(T),
    /// Not there yet; the text says what is there instead.
    NotYet(String),
    /// Waiting longer cannot help.
    Failed(anyhow::Error),
}

/// Calls `attempt` every `every` until it is ready, fails, or `limit` (times [`patience`]) is over.
///
/// # Errors
///
/// The attempt's own failure, an interrupt, or the deadline; the latter names `what` and the last observation.
pub fn until<T>(what: &str, limit: Duration, every: Duration, mut attempt: impl FnMut() -> Attempt<T>) -> Result<T> {
    let began = Instant::now();
    let deadline = began + limit.mul_f64(patience());
    loop {
        let seen = match attempt() {
            Attempt::Ready(value) => return Ok(value),
            Attempt::Failed(error) => return Err(error),
            Attempt::NotYet(seen) => seen,
        };
        if Instant::now() >= deadline {
            bail!("{what}: not within {:.0} s; last seen: {seen}", began.elapsed().as_secs_f64());
        }
        pause(every)?;
    }
}

/// Lets `time` pass, in slices short enough for an interrupt to feel immediate.
///
/// # Errors
///
/// The interrupt.
pub fn pause(time: Duration) -> Result<()> {
    const SLICE: Duration = Duration::from_millis(50);
    let end = Instant::now() + time;
    loop {
        interrupt::check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        #[expect(clippy::disallowed_methods, reason = "the one sleep that every poll shares")]
        std::thread::sleep(left.min(SLICE));
    }
}

/// How much longer than usual every deadline is: the environment's `LAB_PATIENCE`, 1 unless set, for slow machines.
#[must_use]
pub fn patience() -> f64 {
    std::env::var("LAB_PATIENCE")
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|factor: &f64| (1.0..=100.0).contains(factor))
        .unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_reports_the_last_observation() {
        let mut count = 0;
        let error = until("three", Duration::from_millis(20), Duration::from_millis(5), || {
            count += 1;
            Attempt::<()>::NotYet(format!("attempt {count}"))
        })
        .unwrap_err();
        assert!(error.to_string().starts_with("three: not within"), "{error}");
        assert!(error.to_string().ends_with(&format!("last seen: attempt {count}")), "{error}");
    }

    #[test]
    fn a_failure_ends_the_wait_at_once() {
        let error = until("it", Duration::from_secs(60), Duration::from_secs(60), || {
            Attempt::<()>::Failed(anyhow::anyhow!("gone"))
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "gone");
    }
}
