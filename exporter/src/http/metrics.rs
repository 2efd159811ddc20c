//! The exposition's endpoint.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::filter::Filter;
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
    let scrape = move |state: &State| {
        let collectors = filter.collectors.as_deref().unwrap_or(state.exposition.collectors());
        let mut families = state.exposition.scrape(collectors);
        if !filter.names.is_empty() {
            families.retain(|family| filter.names.iter().any(|name| name == family.name()));
        }
        exposition::encode(&families)
    };
    match state.read(state.wait(|| patience::of(&request)), scrape).await {
        Ok(Ok(text)) => {
            let content_type = HeaderValue::from_static(exposition::CONTENT_TYPE);
            ([(CONTENT_TYPE, content_type)], permit.body(text)).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot encode the metrics");
            line(StatusCode::INTERNAL_SERVER_ERROR, "cannot encode the metrics; the log has the reason")
        }
        Err(late) => late,
    }
}
