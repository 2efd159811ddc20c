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
//! answers 500 with one line.

mod cors;
mod filter;
mod health;
mod info;
mod landing;
mod limit;
mod metrics;
mod path;
mod patience;
mod protect;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::collector::{self, Collector};
use crate::exposition::Exposition;
use crate::node::{Node, Reader};
use crate::procfs::ProcRoot;
pub use cors::{Origins, readable_by};
use limit::Limit;
pub use path::{BadPath, TelemetryPath};
pub use protect::protected;

/// What the endpoints answer from. The default is what the command line without flags gives.
pub struct Config {
    /// The root of the procfs tree that describes the node.
    pub procfs: PathBuf,
    /// The node's name; without one, the hostname in that tree.
    pub node_name: Option<String>,
    /// The collectors that a scrape runs.
    pub collectors: Vec<&'static dyn Collector>,
    /// Where the exposition is.
    pub telemetry_path: TelemetryPath,
    /// How many scrapes may be under way at once; 0 is no limit.
    pub max_requests: usize,
    /// Whether `process_*` is exposed.
    pub exporter_metrics: bool,
    /// Where reads that can hang are done. Nodes in one process may share it if their files never hang: they wait for each
    /// other.
    pub reader: Arc<Reader>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            procfs: PathBuf::from("/proc"),
            node_name: None,
            collectors: collector::defaults(),
            telemetry_path: TelemetryPath::default(),
            max_requests: 40,
            exporter_metrics: true,
            reader: Arc::default(),
        }
    }
}

/// What every handler shares.
pub struct State {
    exposition: Exposition,
    telemetry_path: TelemetryPath,
    scrapes: Limit,
    reader: Arc<Reader>,
}

impl State {
    /// Looks at the root of the tree, and reads nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Arc<Self> {
        let node = Node::new(ProcRoot::new(config.procfs), config.node_name);
        Arc::new(Self {
            exposition: Exposition::new(node, config.collectors, config.exporter_metrics),
            telemetry_path: config.telemetry_path,
            scrapes: Limit::new(config.max_requests),
            reader: config.reader,
        })
    }

    /// What a scrape answers.
    #[must_use]
    pub fn exposition(&self) -> &Exposition {
        &self.exposition
    }

    fn node(&self) -> &Node {
        self.exposition.node()
    }

    /// How long to wait for the node's files; none where reading them cannot hang, and nobody has to say.
    fn wait(&self, patience: impl FnOnce() -> Duration) -> Option<Duration> {
        (!self.node().is_live()).then(patience)
    }

    /// Runs `job`, which reads some of the node's files: right here where there is no `patience`, for they are few and
    /// small, else on another thread.
    ///
    /// # Errors
    ///
    /// When they take longer than that. The answer says so.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        patience: Option<Duration>,
        job: impl Fn(&Self) -> T + Clone + Send + 'static,
    ) -> Result<T, Response> {
        let Some(patience) = patience else { return Ok(job(self)) };
        let state = Arc::clone(self);
        let read = self.reader.run(patience, || self.node().give_up(), move || job(&state)).await;
        read.ok_or_else(|| {
            let late = format_args!("the procfs tree gave no answer within {} s", patience.as_secs_f64());
            line(StatusCode::SERVICE_UNAVAILABLE, late)
        })
    }
}

/// The endpoints as a service, which needs no socket.
pub fn router(state: Arc<State>) -> Router {
    Router::new()
        .route(path::LANDING, get(landing::page))
        .route(path::HOSTNAME, get(info::hostname))
        .route(path::UPTIME, get(info::uptime))
        .route(path::LOAD, get(info::load))
        .route(path::LIVE, get(health::live))
        .route(path::READY, get(health::ready))
        .route(state.telemetry_path.as_str(), get(metrics::scrape))
        .with_state(state)
}

/// Of the endpoints, those about health alone.
pub fn health(state: Arc<State>) -> Router {
    Router::new().route(path::LIVE, get(health::live)).route(path::READY, get(health::ready)).with_state(state)
}

const TEXT: &str = "text/plain; charset=utf-8";

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

/// An answer of one line, such as why there is no other.
fn line(status: StatusCode, text: impl std::fmt::Display) -> Response {
    answer(status, TEXT, format!("{text}\n"))
}
