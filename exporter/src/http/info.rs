//! The three values for a person or a script, whatever the collector flags say.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;

use super::{State, TEXT, answer, line, patience};
use crate::procfs::{Error, LoadAverage, Uptime};

pub(super) async fn hostname(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let read = |state: &State| plain(state.node().hostname().map(|name| name.to_string()));
    state.read(state.wait(|| patience::of(&request)), read).await.unwrap_or_else(|late| late)
}

pub(super) async fn uptime(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let read = |state: &State| plain(state.node().read::<Uptime>().map(|uptime| uptime.written));
    state.read(state.wait(|| patience::of(&request)), read).await.unwrap_or_else(|late| late)
}

pub(super) async fn load(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let read = |state: &State| match state.node().read::<LoadAverage>() {
        Ok(load) => answer(StatusCode::OK, "application/json", json(&load)),
        Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, error),
    };
    state.read(state.wait(|| patience::of(&request)), read).await.unwrap_or_else(|late| late)
}

fn plain(value: Result<String, Error>) -> Response {
    match value {
        Ok(text) => answer(StatusCode::OK, TEXT, text),
        Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

/// Written by hand, for the keys have an order; a finite `f64` prints as the shortest JSON number that reads back the
/// same.
fn json(load: &LoadAverage) -> String {
    let LoadAverage { one, five, fifteen } = load;
    format!(r#"{{"1m":{one},"5m":{five},"15m":{fifteen}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_json_with_the_shortest_numbers_in_order() {
        let load = LoadAverage { one: 0.57, five: 0.8, fifteen: 0.77 };
        assert_eq!(json(&load), r#"{"1m":0.57,"5m":0.8,"15m":0.77}"#);
        let load = LoadAverage { one: 2.63, five: 0.0, fifteen: 1024.0 };
        assert_eq!(json(&load), r#"{"1m":2.63,"5m":0,"15m":1024}"#);
    }
}
