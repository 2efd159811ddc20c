//! The three values for a person or a script, whatever the collector flags say.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{MethodRouter, get};

use super::{Endpoints, PLAIN_TEXT, answer, line, timeout};
use crate::node::Scrape;
use crate::procfs::{Error, LoadAverage, Uptime};

pub(super) fn hostname() -> MethodRouter<Arc<Endpoints>> {
    info(PLAIN_TEXT, |scrape| scrape.hostname().map(str::to_string))
}

pub(super) fn uptime() -> MethodRouter<Arc<Endpoints>> {
    info(PLAIN_TEXT, |scrape| scrape.read::<Uptime>().map(|uptime| uptime.written))
}

pub(super) fn load() -> MethodRouter<Arc<Endpoints>> {
    info("application/json", |scrape| scrape.read::<LoadAverage>().map(|load| json(&load)))
}

fn info(content_type: &'static str, read: fn(&Scrape<'_>) -> Result<String, Error>) -> MethodRouter<Arc<Endpoints>> {
    get(async move |State(endpoints): State<Arc<Endpoints>>, headers: HeaderMap| {
        // Otherwise a hung tree would let these take every connection.
        let permit = endpoints.requests.acquire();
        if permit.is_none() && !endpoints.node.root().is_live() {
            return endpoints.too_many_requests();
        }
        match endpoints.node.scrape(|| timeout(&headers), read).await {
            Ok(text) => answer(StatusCode::OK, content_type, text),
            Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    })
}

/// Written by hand, because the keys have an order; a finite `f64` prints as the shortest JSON number that reads back
/// the same.
fn json(load: &LoadAverage) -> String {
    let LoadAverage { one, five, fifteen } = load;
    format!(r#"{{"1m":{one},"5m":{five},"15m":{fifteen}}}"#)
}
