//! Answers that hold something until their body is taken.

use axum::body::Body;
use http_body_util::BodyExt;

/// Keeps `held` until the body is dropped: hyper drops it once all of it is in its buffer, or the connection closed.
pub fn hold<T: Send + 'static>(held: T, body: Body) -> Body {
    Body::new(body.map_err(move |error| {
        let _ = &held;
        error
    }))
}
