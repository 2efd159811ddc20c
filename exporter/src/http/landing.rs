//! The page at `/`, for a browser.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::path;
use super::response::answer;
use super::state::ExporterState;
use crate::build_info;

/// Nothing on the page comes from a request, and the telemetry path has no character that HTML interprets.
pub(super) async fn page(State(state): State<Arc<ExporterState>>) -> Response {
    let links = [
        (state.telemetry_path.as_str(), "metrics, for Prometheus"),
        (path::HOSTNAME, "the node's name"),
        (path::UPTIME, "seconds since boot"),
        (path::LOAD, "load averages"),
        (path::LIVE, "liveness"),
        (path::READY, "readiness"),
    ]
    .map(|(path, what)| format!("<li><a href=\"{path}\">{path}</a>: {what}</li>\n"))
    .concat();
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>mini-node-exporter</title></head>\n\
         <body>\n<h1>mini-node-exporter</h1>\n<p>Version {}</p>\n<ul>\n{links}</ul>\n</body>\n</html>\n",
        build_info::LONG_VERSION
    );
    answer(StatusCode::OK, "text/html; charset=utf-8", body)
}
