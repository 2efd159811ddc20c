//! The three values for a person or a script, whatever the collector flags say.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{Endpoints, PLAIN_TEXT, answer, line, timeout};
use crate::node::Scrape;
use crate::procfs::{Error, LoadAverage, Uptime};

pub(super) async fn hostname(State(endpoints): State<Arc<Endpoints>>, headers: HeaderMap) -> Response {
    info(&endpoints, &headers, PLAIN_TEXT, |scrape| scrape.hostname().map(str::to_string)).await
}

pub(super) async fn uptime(State(endpoints): State<Arc<Endpoints>>, headers: HeaderMap) -> Response {
    info(&endpoints, &headers, PLAIN_TEXT, |scrape| scrape.read::<Uptime>().map(|uptime| uptime.written)).await
}

pub(super) async fn load(State(endpoints): State<Arc<Endpoints>>, headers: HeaderMap) -> Response {
    info(&endpoints, &headers, "application/json", |scrape| scrape.read::<LoadAverage>().map(|load| json(&load))).await
}

async fn info(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    content_type: &'static str,
    read: fn(&Scrape<'_>) -> Result<String, Error>,
) -> Response {
    // Otherwise a hung tree would let these take every connection.
    let permit = endpoints.requests.acquire();
    if permit.is_none() && !endpoints.node.root().is_live() {
        return endpoints.too_many_requests();
    }
    match endpoints.node.scrape(|| timeout(headers), read).await {
        Ok(text) => answer(StatusCode::OK, content_type, text),
        Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

/// Written by hand, because the keys have an order; a finite `f64` prints as the shortest JSON number that reads back
/// the same.
fn json(load: &LoadAverage) -> String {
    let LoadAverage { one, five, fifteen } = load;
    format!(r#"{{"1m":{one},"5m":{five},"15m":{fifteen}}}"#)
}
