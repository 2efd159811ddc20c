//! The exposition's endpoint.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::filter::ScrapeFilter;
use super::held::hold;
use super::response::{line, timeout};
use super::state::{ExporterState, acquire};
use crate::collector::gauge_family;
use crate::exposition;
use crate::node::ReadSession;
use crate::web_config::ActiveWebConfig;

pub(super) async fn scrape(
    State(state): State<Arc<ExporterState>>,
    RawQuery(query): RawQuery,
    config: Option<Extension<Arc<ActiveWebConfig>>>,
    headers: HeaderMap,
) -> Response {
    let Some(permit) = acquire(&state.requests) else { return state.too_many_requests() };
    let filter = match ScrapeFilter::parse(&query.unwrap_or_default(), state.gatherer.collectors()) {
        Ok(filter) => filter,
        Err(error) => return line(StatusCode::BAD_REQUEST, error),
    };
    let not_after = config.and_then(|config| config.not_after());
    let scraped = Arc::clone(&state);
    let expose = move |session: &ReadSession<'_>| {
        let mut families = scraped.gatherer.gather(session, &filter.collectors);
        let help = "When the exporter's TLS certificate expires, in seconds since the Unix epoch.";
        let expiry = not_after.map(|time| ([("", ""); 0], time.as_secs_f64()));
        families.extend(
            expiry.map(|sample| gauge_family("mini_node_exporter_tls_not_after_timestamp_seconds", help, [sample])),
        );
        if !filter.names.is_empty() {
            families.retain(|family| filter.names.iter().any(|name| name == family.name()));
        }
        exposition::encode(&families)
    };
    match state.node.read_within(|| timeout(&headers), expose).await {
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
