//! The exposition's endpoint.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::filter::{self, Filter};
use super::{State, line, patience};
use crate::exposition;

pub(super) async fn scrape(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let Some(permit) = state.scrapes.acquire() else {
        let most = state.scrapes.most();
        return line(
            StatusCode::SERVICE_UNAVAILABLE,
            format_args!("already serving {most} scrapes at once, as many as --web.max-requests allows"),
        );
    };
    let query = request.uri().query().unwrap_or_default();
    let filter = match Filter::parse(query, state.exposition.collectors()) {
        Ok(filter) => filter,
        Err(error) => return line(StatusCode::BAD_REQUEST, error),
    };
    let render = move |state: &State| {
        let text = match &filter.collectors {
            None => state.exposition.render(),
            Some(collectors) => state.exposition.render_only(collectors),
        };
        if filter.names.is_empty() { text } else { filter::only(&text, &filter.names) }
    };
    match state.read(state.wait(|| patience::of(&request)), render).await {
        Ok(text) => {
            let content_type = HeaderValue::from_static(exposition::CONTENT_TYPE);
            ([(CONTENT_TYPE, content_type)], permit.body(text)).into_response()
        }
        Err(late) => late,
    }
}
