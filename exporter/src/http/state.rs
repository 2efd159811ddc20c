//! What the handlers share, and the options that it is built from.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::path::TelemetryPath;
use super::response::line;
use crate::collector::{self, Collector};
use crate::exposition::Gatherer;
use crate::node::{Node, ReaderThread};
use crate::procfs::{NODE_FILES, ProcRoot};

/// How many readiness checks of a tree that can hang may run at once.
pub(super) const MAX_READINESS_CHECKS: usize = 8;

/// The options of the endpoints. The default is that of the command line.
pub struct ExporterOptions {
    /// The root of the procfs tree that describes the node.
    pub procfs: PathBuf,
    /// The node's name; without one, the hostname in that tree.
    pub node_name: Option<String>,
    /// The collectors that are enabled.
    pub collectors: Vec<&'static dyn Collector>,
    /// Where the exposition is.
    pub telemetry_path: TelemetryPath,
    /// How many scrapes, and on a tree that can hang requests for `/info`, may be under way at once; 0 is no limit.
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

/// The state that all handlers share.
pub struct ExporterState {
    pub(super) node: Arc<Node>,
    pub(super) gatherer: Gatherer,
    pub(super) telemetry_path: TelemetryPath,
    pub(super) requests: Arc<Semaphore>,
    pub(super) readiness_checks: Arc<Semaphore>,
    max_requests: usize,
}

impl ExporterState {
    /// Examines the root of the tree, and reads nothing yet.
    #[must_use]
    pub fn new(options: ExporterOptions) -> Arc<Self> {
        let files = options.collectors.iter().flat_map(|collector| collector.files());
        let root = ProcRoot::new(options.procfs, &NODE_FILES.iter().chain(files).copied().collect::<Vec<_>>());
        let permits = if options.max_requests == 0 { Semaphore::MAX_PERMITS } else { options.max_requests };
        Arc::new(Self {
            node: Arc::new(Node::new(root, options.node_name, options.reader)),
            gatherer: Gatherer::new(options.collectors, options.exporter_metrics),
            telemetry_path: options.telemetry_path,
            requests: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            readiness_checks: Arc::new(Semaphore::new(MAX_READINESS_CHECKS)),
            max_requests: options.max_requests,
        })
    }

    /// The node that is described.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Gathers the metrics of a scrape.
    #[must_use]
    pub fn gatherer(&self) -> &Gatherer {
        &self.gatherer
    }

    pub(super) fn too_many_requests(&self) -> Response {
        let most = self.max_requests;
        let reason = format_args!("too many concurrent requests: limit is {most} (--web.max-requests)");
        line(StatusCode::SERVICE_UNAVAILABLE, reason)
    }
}

/// Returns `None` at the limit: a client learns so at once instead of waiting.
pub(super) fn acquire(limit: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(limit).try_acquire_owned().ok()
}
