//! Cross-origin resource sharing: which web pages may read the answers, as Prometheus' flag of the same name.

use std::str::FromStr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use regex_lite::Regex;

/// The origins of those pages: a regular expression that must match the whole origin.
#[derive(Clone, Debug)]
pub struct AllowedOrigins(Regex);

impl FromStr for AllowedOrigins {
    type Err = regex_lite::Error;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Regex::new(&format!("^(?:{pattern})$")).map(Self)
    }
}

/// Adds the headers with which pages of these origins may read the answers. Apply it outside
/// [`protected`](super::protected): a preflight request carries no password.
pub fn readable_by(origins: AllowedOrigins, app: Router) -> Router {
    app.layer(from_fn_with_state(origins, allow))
}

async fn allow(State(origins): State<AllowedOrigins>, request: Request, next: Next) -> Response {
    let is_allowed = |origin: &&HeaderValue| origin.to_str().is_ok_and(|origin| origins.0.is_match(origin));
    let allowed = request.headers().get(ORIGIN).filter(is_allowed).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight && allowed.is_some() {
        let headers = [
            (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD")),
            (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Accept, Authorization")),
        ];
        (StatusCode::NO_CONTENT, headers).into_response()
    } else {
        next.run(request).await
    };
    // A cache must not give the answer to one origin to another.
    response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}
