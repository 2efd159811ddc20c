//! Liveness: the process answers. Readiness: all needed files are readable.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::response::line;
use super::state::{ExporterState, MAX_READINESS_CHECKS, acquire};
use crate::collector::Collector;
use crate::node::ReadSession;
use crate::procfs::ReadError;

/// Shorter than a timeout of 5 s, so that the answer, which names the file that hangs, still arrives.
const READINESS_TIMEOUT: Duration = Duration::from_secs(4);

pub(super) async fn live() -> Response {
    line(StatusCode::OK, "ok")
}

pub(super) async fn ready(State(state): State<Arc<ExporterState>>) -> Response {
    // A tree that hangs would let readiness checks use up all connections.
    let permit = acquire(&state.readiness_checks);
    if permit.is_none() && !state.node.root().is_kernel_procfs() {
        let reason = format_args!("too many concurrent readiness checks: limit is {MAX_READINESS_CHECKS}");
        return line(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    let needed = Arc::clone(&state);
    let bad = move |session: &ReadSession<'_>| bad_files(session, needed.gatherer.collectors());
    let bad = state.node.read_within(|| READINESS_TIMEOUT, bad).await;
    if bad.is_empty() {
        return line(StatusCode::OK, "ok");
    }
    let lines: Vec<String> = bad.iter().map(ReadError::to_string).collect();
    line(StatusCode::SERVICE_UNAVAILABLE, lines.join("\n"))
}

/// Returns each bad file once: of the hostname, and of every enabled collector.
fn bad_files(session: &ReadSession<'_>, collectors: &[&'static dyn Collector]) -> Vec<ReadError> {
    let mut bad: Vec<ReadError> = session.hostname().err().into_iter().collect();
    for collector in collectors {
        if let Err(error) = collector.collect(session)
            && bad.iter().all(|known| known.path() != error.path())
        {
            bad.push(error);
        }
    }
    bad
}
