//! The exposition's endpoint.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::filter::ScrapeFilter;
use super::{Endpoints, hold, line, timeout};
use crate::collector::gauge;
use crate::exposition;
use crate::node::Scrape;
use crate::web_config::Rules;

pub(super) async fn scrape(
    State(endpoints): State<Arc<Endpoints>>,
    RawQuery(query): RawQuery,
    rules: Option<Extension<Arc<Rules>>>,
    headers: HeaderMap,
) -> Response {
    let Some(permit) = endpoints.requests.acquire() else { return endpoints.too_many_requests() };
    let filter = match ScrapeFilter::parse(&query.unwrap_or_default(), endpoints.exposition.collectors()) {
        Ok(filter) => filter,
        Err(error) => return line(StatusCode::BAD_REQUEST, error),
    };
    let not_after = rules.and_then(|rules| rules.not_after());
    let scraped = Arc::clone(&endpoints);
    let expose = move |scrape: &Scrape<'_>| {
        let mut families = scraped.exposition.families(scrape, &filter.collectors);
        let help = "When the exporter's TLS certificate expires, in seconds since 1970.";
        let expiry = not_after.map(|time| ([("", ""); 0], time.as_secs_f64()));
        families
            .extend(expiry.map(|sample| gauge("mini_node_exporter_tls_not_after_timestamp_seconds", help, [sample])));
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
