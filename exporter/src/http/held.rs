//! Answers that hold something until they are sent.

use axum::body::Body;
use http_body_util::BodyExt;

/// Keeps `held` until the body is dropped: when it was sent, or the connection closed.
pub fn hold<T: Send + 'static>(held: T, body: Body) -> Body {
    Body::new(body.map_err(move |error| {
        let _ = &held;
        error
    }))
}
