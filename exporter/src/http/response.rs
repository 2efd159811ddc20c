//! Building responses, and the time in which they must be sent.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// Prometheus' scrape timeout in seconds, and the margin for sending the response.
pub(super) const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";
const MARGIN: f64 = 0.5;
/// The timeout of a client that sends none, and the longest accepted.
const DEFAULT_TIMEOUT: f64 = 10.0;
const LONGEST_TIMEOUT: f64 = 60.0;

/// Returns how long reading may take for the response to be in time.
pub(super) fn timeout(headers: &HeaderMap) -> Duration {
    let sent = headers.get(TIMEOUT_HEADER).and_then(|seconds| seconds.to_str().ok()?.parse::<f64>().ok());
    let seconds = sent.filter(|seconds| *seconds > 0.0).unwrap_or(DEFAULT_TIMEOUT).min(LONGEST_TIMEOUT);
    Duration::from_secs_f64(f64::max(seconds - MARGIN, seconds / 2.0))
}

pub(super) const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

/// Builds a one-line plain-text response, e.g. an error.
pub(super) fn line(status: StatusCode, text: impl std::fmt::Display) -> Response {
    answer(status, PLAIN_TEXT, format!("{text}\n"))
}
