//! The endpoints.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /metrics` (or `--web.telemetry-path`) | the exposition; `collect[]`, `exclude[]` choose collectors, `name[]` metrics |
//! | `GET /info/hostname` | the node's name, as plain text without a line feed |
//! | `GET /info/uptime` | seconds since boot, exactly as the kernel wrote them |
//! | `GET /info/load` | the load averages as JSON: `{"1m":0.57,"5m":0.8,"15m":0.77}` |
//! | `GET /healthz/live` | 200 while the process answers |
//! | `GET /healthz/ready` | 200, or 503 naming each bad file that is needed |
//! | `GET /` | a landing page |
//!
//! HEAD works wherever GET does. Other methods get 405, other paths 404. When a file that `/info` needs is bad, it
//! answers 500 with one line. A tree that can hang is read on another thread, up to the client's timeout.

mod cors;
mod filter;
mod health;
mod held;
mod info;
mod landing;
mod limit;
mod metrics;
mod path;
mod protect;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::collector::{self, Collector};
use crate::exposition::Gatherer;
use crate::node::{Node, ReaderThread};
use crate::procfs::{NODE_FILES, ProcRoot};
pub use cors::{AllowedOrigins, readable_by};
pub use held::hold;
use limit::RequestLimit;
pub use path::TelemetryPath;
pub use protect::protected;

/// What the endpoints answer from. The default is that of the command line.
pub struct ExporterOptions {
    /// The root of the procfs tree that describes the node.
    pub procfs: PathBuf,
    /// The node's name; without one, the hostname in that tree.
    pub node_name: Option<String>,
    /// The collectors that are enabled.
    pub collectors: Vec<&'static dyn Collector>,
    /// Where the exposition is.
    pub telemetry_path: TelemetryPath,
    /// How many scrapes may be under way at once; 0 is no limit.
    pub max_requests: usize,
    /// Whether `process_*` is exposed.
    pub exporter_metrics: bool,
    /// Where reads that can hang are done. Nodes in one process may share it if their files never hang: one that hangs
    /// blocks them all.
    pub reader: Arc<ReaderThread>,
}

impl ExporterOptions {
    /// The default of `max_requests`.
    pub const MAX_REQUESTS: usize = 40;
}

impl Default for ExporterOptions {
    fn default() -> Self {
        Self {
            procfs: PathBuf::from(ProcRoot::KERNEL),
            node_name: None,
            collectors: collector::defaults(),
            telemetry_path: TelemetryPath::default(),
            max_requests: Self::MAX_REQUESTS,
            exporter_metrics: true,
            reader: Arc::default(),
        }
    }
}

/// What every handler answers from.
pub struct ExporterState {
    node: Arc<Node>,
    gatherer: Gatherer,
    telemetry_path: TelemetryPath,
    requests: RequestLimit,
    readiness_checks: RequestLimit,
}

impl ExporterState {
    /// Examines the root of the tree, and reads nothing yet.
    #[must_use]
    pub fn new(options: ExporterOptions) -> Arc<Self> {
        let files = options.collectors.iter().flat_map(|collector| collector.files());
        let root = ProcRoot::new(options.procfs, &NODE_FILES.iter().chain(files).copied().collect::<Vec<_>>());
        Arc::new(Self {
            node: Arc::new(Node::new(root, options.node_name, options.reader)),
            gatherer: Gatherer::new(options.collectors, options.exporter_metrics),
            telemetry_path: options.telemetry_path,
            requests: RequestLimit::new(options.max_requests),
            readiness_checks: RequestLimit::new(health::MOST_CHECKS),
        })
    }

    /// The node that is described.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// What a scrape exposes.
    #[must_use]
    pub fn gatherer(&self) -> &Gatherer {
        &self.gatherer
    }

    fn too_many_requests(&self) -> Response {
        let most = self.requests.most();
        let reason = format_args!("too many concurrent requests: limit is {most} (--web.max-requests)");
        line(StatusCode::SERVICE_UNAVAILABLE, reason)
    }
}

/// The endpoints as a service, which needs no socket.
pub fn router(state: Arc<ExporterState>) -> Router {
    Router::new()
        .route(path::LANDING, get(landing::page))
        .route(path::HOSTNAME, info::hostname())
        .route(path::UPTIME, info::uptime())
        .route(path::LOAD, info::load())
        .route(path::LIVE, get(health::live))
        .route(path::READY, get(health::ready))
        .route(state.telemetry_path.as_str(), get(metrics::scrape))
        .with_state(state)
}

/// Returns the health endpoints only.
pub fn health(state: Arc<ExporterState>) -> Router {
    Router::new().route(path::LIVE, get(health::live)).route(path::READY, get(health::ready)).with_state(state)
}

/// Prometheus' scrape timeout in seconds, and the margin for sending the response.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";
const MARGIN: f64 = 0.5;
/// The timeout of a client that sends none, and the longest that is granted.
const DEFAULT_TIMEOUT: f64 = 10.0;
const LONGEST_TIMEOUT: f64 = 60.0;

/// Returns how long reading may take for the response to be in time.
fn timeout(headers: &HeaderMap) -> Duration {
    let sent = headers.get(TIMEOUT_HEADER).and_then(|seconds| seconds.to_str().ok()?.parse::<f64>().ok());
    let seconds = sent.filter(|seconds| *seconds > 0.0).unwrap_or(DEFAULT_TIMEOUT).min(LONGEST_TIMEOUT);
    Duration::from_secs_f64(f64::max(seconds - MARGIN, seconds / 2.0))
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

/// An answer of one line, such as why there is no other.
fn line(status: StatusCode, text: impl std::fmt::Display) -> Response {
    answer(status, PLAIN_TEXT, format!("{text}\n"))
}
