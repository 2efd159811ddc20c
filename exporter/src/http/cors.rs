//! Which web pages may read the answers: cross-origin resource sharing, as Prometheus' flag of the same name does it.

use std::str::FromStr;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use regex_lite::Regex;

/// The origins of those pages, as a regular expression that has to match the whole of an origin.
#[derive(Clone, Debug)]
pub struct Origins(Regex);

impl FromStr for Origins {
    type Err = regex_lite::Error;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Regex::new(&format!("^(?:{pattern})$")).map(Self)
    }
}

/// The same endpoints, whose answers the pages of these origins may read. It goes around the passwords of a web
/// configuration: a browser asks without one whether it may send it.
pub fn readable_by(origins: Origins, app: Router) -> Router {
    app.layer(from_fn_with_state(origins, allow))
}

async fn allow(Shared(origins): Shared<Origins>, request: Request, next: Next) -> Response {
    let is_allowed = |origin: &&HeaderValue| origin.to_str().is_ok_and(|origin| origins.0.is_match(origin));
    let allowed = request.headers().get(ORIGIN).filter(is_allowed).cloned();
    let asks = request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks && allowed.is_some() {
        let may = [
            (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD")),
            (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Accept, Authorization")),
        ];
        (StatusCode::NO_CONTENT, may).into_response()
    } else {
        next.run(request).await
    };
    // An answer to one origin must not be taken from a cache for another.
    response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}
