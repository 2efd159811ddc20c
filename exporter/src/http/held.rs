//! Answers that hold something until they are sent.

use axum::body::Body;
use http_body_util::BodyExt;

/// The same body, which drops `held` when it is dropped itself: when the connection has taken all of it over, or is gone.
pub fn hold<T: Send + 'static>(held: T, body: Body) -> Body {
    Body::new(body.map_err(move |error| {
        let _ = &held;
        error
    }))
}
