//! The exposition's endpoint.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{State, filter, line};
use crate::exposition;

/// Collectors read a few small files, so they run right here, on the one thread.
pub(super) async fn scrape(Shared(state): Shared<Arc<State>>, RawQuery(query): RawQuery) -> Response {
    let Some(permit) = state.scrapes.acquire() else {
        let most = state.scrapes.most();
        return line(StatusCode::SERVICE_UNAVAILABLE, format_args!("{most} scrapes are under way already"));
    };
    let exposition = state.exposition();
    let rendered = match filter::select(query.as_deref().unwrap_or_default(), exposition.collectors()) {
        Err(error) => return line(StatusCode::BAD_REQUEST, error),
        Ok(None) => exposition.render(),
        Ok(Some(collectors)) => exposition.render_only(collectors),
    };
    match rendered {
        Ok(text) => {
            let content_type = HeaderValue::from_static(exposition::CONTENT_TYPE);
            ([(CONTENT_TYPE, content_type)], permit.body(text)).into_response()
        }
        Err(error) => line(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}
