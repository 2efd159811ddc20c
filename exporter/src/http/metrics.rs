//! The exposition's endpoint.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::filter::Filter;
use super::{Endpoints, hold, line, timeout};
use crate::exposition;
use crate::node::Scrape;

pub(super) async fn scrape(
    State(endpoints): State<Arc<Endpoints>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(permit) = endpoints.requests.acquire() else { return endpoints.too_many_requests() };
    let filter = match Filter::parse(&query.unwrap_or_default(), endpoints.exposition.collectors()) {
        Ok(filter) => filter,
        Err(error) => return line(StatusCode::BAD_REQUEST, error),
    };
    let scraped = Arc::clone(&endpoints);
    let expose = move |scrape: &Scrape<'_>| {
        let mut families = scraped.exposition.families(scrape, &filter.collectors);
        if !filter.names.is_empty() {
            families.retain(|family| filter.names.iter().any(|name| name == family.name()));
        }
        exposition::encode(&families)
    };
    match endpoints.node.scrape(|| timeout(&headers), expose).await {
        Ok(text) => {
            let content_type = HeaderValue::from_static(exposition::CONTENT_TYPE);
            ([(CONTENT_TYPE, content_type)], hold(permit, Body::from(text))).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "cannot encode the metrics");
            line(StatusCode::INTERNAL_SERVER_ERROR, "cannot encode the metrics; see the log")
        }
    }
}
