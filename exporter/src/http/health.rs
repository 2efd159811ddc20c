//! Liveness: the process answers. Readiness: all needed files are readable.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::{Endpoints, line};
use crate::collector::Collector;
use crate::node::Scrape;
use crate::procfs::Error;

/// Less than the timeout of the manifests' probes, so that a kubelet learns which file hangs.
const TIMEOUT: Duration = Duration::from_secs(4);

/// How many checks of a tree that can hang may run at once.
pub(super) const MOST_CHECKS: usize = 8;

pub(super) async fn live() -> Response {
    line(StatusCode::OK, "ok")
}

pub(super) async fn ready(State(endpoints): State<Arc<Endpoints>>) -> Response {
    // Otherwise a slow tree would let these take every connection.
    let permit = endpoints.readiness_checks.acquire();
    if permit.is_none() && !endpoints.node.root().is_live() {
        let reason = format_args!("too many concurrent readiness checks: limit is {MOST_CHECKS}");
        return line(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    let needed = Arc::clone(&endpoints);
    let bad = move |scrape: &Scrape<'_>| bad_files(scrape, needed.exposition.collectors());
    let bad = endpoints.node.scrape(|| TIMEOUT, bad).await;
    if bad.is_empty() {
        return line(StatusCode::OK, "ok");
    }
    let lines: Vec<String> = bad.iter().map(Error::to_string).collect();
    line(StatusCode::SERVICE_UNAVAILABLE, lines.join("\n"))
}

/// Returns each bad file once: of the hostname, and of every enabled collector.
fn bad_files(scrape: &Scrape<'_>, collectors: &[&'static dyn Collector]) -> Vec<Error> {
    let mut bad: Vec<Error> = scrape.hostname().err().into_iter().collect();
    for collector in collectors {
        if let Err(error) = collector.collect(scrape)
            && bad.iter().all(|known| known.path() != error.path())
        {
            bad.push(error);
        }
    }
    bad
}
