//! `/info/*`: plain values, independent of the collector flags.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{MethodRouter, get};

use super::response::{PLAIN_TEXT, answer, line, timeout};
use super::state::{ExporterState, acquire};
use crate::node::ReadSession;
use crate::procfs::{LoadAverage, ReadError, Uptime};

pub(super) fn hostname() -> MethodRouter<Arc<ExporterState>> {
    info(PLAIN_TEXT, |session| session.hostname().map(str::to_string))
}

pub(super) fn uptime() -> MethodRouter<Arc<ExporterState>> {
    info(PLAIN_TEXT, |session| session.read::<Uptime>().map(|uptime| uptime.written))
}

pub(super) fn load() -> MethodRouter<Arc<ExporterState>> {
    info("application/json", |session| session.read::<LoadAverage>().map(|load| json(&load)))
}

fn info(
    content_type: &'static str,
    read: fn(&ReadSession<'_>) -> Result<String, ReadError>,
) -> MethodRouter<Arc<ExporterState>> {
    get(async move |State(state): State<Arc<ExporterState>>, headers: HeaderMap| {
        // A tree that hangs would let these requests use up all connections.
        let permit = acquire(&state.requests);
        if permit.is_none() && !state.node.root().is_kernel_procfs() {
            return state.too_many_requests();
        }
        match state.node.read_within(|| timeout(&headers), read).await {
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
