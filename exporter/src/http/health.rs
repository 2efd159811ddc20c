//! Liveness says that the process answers; readiness, that what it would answer is true.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;

use super::{State, line};
use crate::node::Scrape;
use crate::procfs::Error;

pub(super) async fn live() -> Response {
    line(StatusCode::OK, "ok")
}

/// Each bad file once, one a line: of the hostname, and of every enabled collector.
pub(super) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let scrape = Scrape::new(state.node());
    let mut bad: Vec<Error> = scrape.hostname().err().into_iter().collect();
    for collector in state.exposition.collectors() {
        if let Err(error) = collector.collect(&scrape)
            && bad.iter().all(|known| known.path() != error.path())
        {
            bad.push(error);
        }
    }
    if bad.is_empty() {
        return line(StatusCode::OK, "ok");
    }
    let lines: Vec<String> = bad.iter().map(Error::to_string).collect();
    line(StatusCode::SERVICE_UNAVAILABLE, lines.join("\n"))
}
