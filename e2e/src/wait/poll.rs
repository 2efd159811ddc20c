//! Waiting: every wait has a deadline, reports what it last saw, and ends at once on an interrupt.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::wait::interrupt;

/// What one attempt of a poll saw.
pub enum Attempt<T> {
    /// What was waited for, and the end of the wait.
    Ready(T),
    /// Not ready; the text is what was seen instead.
    NotYet(String),
    /// Waiting longer cannot help.
    Failed(anyhow::Error),
}

/// An observation that waiting does not change, such as a query that cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Final(pub String);

/// Calls `attempt` every `every` until it is ready, fails, or `limit` (times [`patience`]) is over.
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
            bail!("{what}: timed out after {:.0} s; last seen: {seen}", began.elapsed().as_secs_f64());
        }
        pause(every)?;
    }
}

/// Lets `time` pass, in slices short enough for an interrupt to feel immediate.
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
pub fn patience() -> f64 {
    check_patience().unwrap_or(1.0)
}

/// Like [`patience`], with an error for an invalid value.
pub fn check_patience() -> Result<f64> {
    std::env::var_os("LAB_PATIENCE").map_or(Ok(1.0), |text| parse_patience(&text.to_string_lossy()))
}

fn parse_patience(text: &str) -> Result<f64> {
    let factor = text.parse().ok().filter(|factor| (1.0..=100.0).contains(factor));
    factor.with_context(|| format!("invalid LAB_PATIENCE `{text}`; expected a number from 1 to 100"))
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
        assert!(error.to_string().starts_with("three: timed out after"), "{error}");
        assert!(error.to_string().ends_with(&format!("last seen: attempt {count}")), "{error}");
    }

    #[test]
    fn patience_is_a_factor_that_only_stretches() {
        assert!((parse_patience("2.5").unwrap() - 2.5).abs() < f64::EPSILON);
        for bad in ["", "0.5", "101", "NaN", "inf", "much", "-2"] {
            let error = parse_patience(bad).unwrap_err().to_string();
            assert_eq!(error, format!("invalid LAB_PATIENCE `{bad}`; expected a number from 1 to 100"));
        }
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
