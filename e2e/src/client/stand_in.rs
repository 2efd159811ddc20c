//! A server for unit tests that gives fixed answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::http::Server;

#[path = "../../tests/support/serve.rs"]
mod serve;
use serve::serve;

/// A server that lives as long as the test process.
pub struct StandIn {
    pub base: String,
}

impl StandIn {
    /// Answers each path, with its query if it has one, with what the first pair that begins it says; 404 elsewhere. Of
    /// several pairs that begin alike each is good for one answer, and the last one for all further ones.
    pub fn answering(answers: &[(&str, &str)]) -> Self {
        let answers = answers.iter().map(|(begins, answer)| ((*begins).to_owned(), (*answer).to_owned()));
        let answers = Arc::new(Mutex::new(answers.collect::<Vec<_>>()));
        // The body is read, for a connection closed before that is reset, and the answer may be lost.
        Self::of(Router::new().fallback(move |uri: Uri, _body: Bytes| async move {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(at) = answers.iter().position(|(begins, _)| path.starts_with(begins)) else {
                return StatusCode::NOT_FOUND.into_response();
            };
            let (begins, recorded) = answers[at].clone();
            if answers[at + 1..].iter().any(|(others, _)| *others == begins) {
                answers.remove(at);
            }
            replay(&recorded)
        }))
    }

    /// Takes every request and never answers.
    pub fn silent() -> Self {
        Self::of(Router::new().fallback(std::future::pending::<Response>))
    }

    /// Serves this.
    pub fn of(router: Router) -> Self {
        Self { base: serve(router) }
    }

    pub fn server(&self) -> Server {
        Server::with_limit(&self.base, Duration::from_secs(20))
    }
}

/// An answer as the recordings have it: `404 application/json`, a line feed, the body.
fn replay(recorded: &str) -> Response {
    let (head, body) = recorded.split_once('\n').unwrap_or((recorded, ""));
    let (status, kind) = head.split_once(' ').unwrap_or((head, "text/plain"));
    let status: StatusCode = status.parse().unwrap();
    let location = kind.strip_prefix("location=").map(|place| [(header::LOCATION, place.to_owned())]);
    (status, location, [(header::CONTENT_TYPE, kind.to_owned())], body.to_owned()).into_response()
}
