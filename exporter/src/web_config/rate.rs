//! The rate limit, a token bucket: a burst of requests at once, then one each interval.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimit {
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

pub(super) struct TokenBucket {
    rate: RateLimit,
    began: Instant,
    /// When the bucket will be full again, counted from the beginning.
    full_at: Mutex<Duration>,
}

impl TokenBucket {
    pub(super) fn new(rate: RateLimit) -> Self {
        Self { rate, began: Instant::now(), full_at: Mutex::default() }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> bool {
        self.take_at(self.began.elapsed())
    }

    fn take_at(&self, now: Duration) -> bool {
        let RateLimit { interval, burst } = self.rate;
        let mut full_at = lock(&self.full_at);
        let after = (*full_at).max(now).saturating_add(interval);
        let allowed = after.saturating_sub(now) <= interval.saturating_mul(burst);
        if allowed {
            *full_at = after;
        }
        allowed
    }
}

/// Reads a duration as Go writes it, such as `500ms` or `1m30s`. A bare number is nanoseconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if let Ok(nanos) = text.parse() {
        return Some(Duration::from_nanos(nanos));
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let of_number = |letter: char| letter.is_ascii_digit() || letter == '.';
        let (number, after) = rest.split_at(rest.find(|letter| !of_number(letter))?);
        let (unit, after) = after.split_at(after.find(of_number).unwrap_or(after.len()));
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_an_interval() {
        let bucket = TokenBucket::new(RateLimit { interval: Duration::from_secs(1), burst: 3 });
        let taken = |millis| bucket.take_at(Duration::from_millis(millis));
        assert!(taken(0) && taken(0) && taken(10) && !taken(20) && !taken(999));
        assert!(taken(1000) && !taken(1001));
        assert!(taken(60_000) && taken(60_000) && taken(60_000) && !taken(60_000), "it holds no more than a burst");
        let longest = TokenBucket::new(RateLimit { interval: Duration::MAX, burst: u32::MAX });
        assert!(longest.take() && longest.take(), "the longest interval overflows");
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, nanos) in [
            ("0", 0),
            ("1", 1),
            ("1s", 1_000_000_000),
            ("3ms", 3_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("10\u{b5}s", 10_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text:?}");
        }
        for text in [
            "",
            "s",
            ".s",
            "1.2.3s",
            "1d",
            "-1s",
            "1 s",
            "s1",
            "1m2",
            "NaN",
            "1e3s",
            &"9".repeat(400),
            &format!("{}h", "9".repeat(40)),
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
