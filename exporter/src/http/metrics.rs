//! The exposition's endpoint.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::filter::{self, Filter};
use super::{State, line};
use crate::exposition;

/// Collectors read a few small files, so they run right here, on the one thread.
pub(super) async fn scrape(Shared(state): Shared<Arc<State>>, RawQuery(query): RawQuery) -> Response {
    let Some(permit) = state.scrapes.acquire() else {
        let most = state.scrapes.most();
        return line(
            StatusCode::SERVICE_UNAVAILABLE,
            format_args!("already serving {most} scrapes at once, as many as --web.max-requests allows"),
        );
    };
    let exposition = state.exposition();
    let filter = match Filter::parse(query.as_deref().unwrap_or_default(), exposition.collectors()) {
        Ok(filter) => filter,
        Err(error) => return line(StatusCode::BAD_REQUEST, error),
    };
    let rendered = match filter.collectors {
        None => exposition.render(),
        Some(collectors) => exposition.render_only(collectors),
    };
    match rendered {
        Ok(mut text) => {
            if !filter.names.is_empty() {
                text = filter::only(&text, &filter.names);
            }
            let content_type = HeaderValue::from_static(exposition::CONTENT_TYPE);
            ([(CONTENT_TYPE, content_type)], permit.body(text)).into_response()
        }
        Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}
