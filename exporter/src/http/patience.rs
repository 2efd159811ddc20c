//! How long whoever asks is going to wait, which matters only where reading the node's files can hang.

use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderValue;

/// Prometheus says after how many seconds it gives a scrape up.
const TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// What the way back may take, in seconds.
const WAY_BACK: f64 = 0.5;

/// Without a word from whoever asks.
const USUAL: Duration = Duration::from_secs(10);

/// Beyond these seconds nobody waits.
const MOST: f64 = 3600.0;

pub(super) fn of(request: &Request) -> Duration {
    request.headers().get(TIMEOUT).and_then(until_given_up).unwrap_or(USUAL)
}

fn until_given_up(said: &HeaderValue) -> Option<Duration> {
    let seconds: f64 = said.to_str().ok()?.parse().ok()?;
    // Of a very short time, half.
    let patience = f64::max(seconds - WAY_BACK, seconds / 2.0);
    (seconds > 0.0 && seconds <= MOST).then(|| Duration::from_secs_f64(patience))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn patience(said: &str) -> Duration {
        of(&Request::get("/").header(TIMEOUT, said).body(Body::empty()).unwrap())
    }

    #[test]
    fn the_answer_is_there_before_prometheus_gives_up() {
        for (said, seconds) in [("10", 9.5), ("15.5", 15.0), ("1", 0.5), ("0.6", 0.3), ("3600", 3599.5)] {
            assert_eq!(patience(said), Duration::from_secs_f64(seconds), "{said}");
        }
    }

    #[test]
    fn what_is_no_time_is_ignored() {
        assert_eq!(of(&Request::new(Body::empty())), USUAL);
        for said in ["", "0", "-1", "NaN", "inf", "3601", "1e300", "ten", "10s"] {
            assert_eq!(patience(said), USUAL, "{said}");
        }
    }
}
