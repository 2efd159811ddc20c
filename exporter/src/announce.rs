//! The log line `started`: the version, the tree, the node, and how clients are admitted.

use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::build_info;
use crate::http::ExporterState;
use crate::node::ReadSession;
use crate::procfs::{LoadAverage, ProcFile, ReadErrorKind, Uptime};
use crate::web_config::WebConfigWatcher;

/// How long reading the tree may hold up the start.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Kubernetes' limit for a node name; keeps the line within one pipe write.
const LONGEST_NAME: usize = 253;

/// Logs one line about this exporter, and a warning where its procfs tree holds nothing. `name_from` says where the
/// node's name comes from.
pub async fn announce(state: &Arc<ExporterState>, name_from: &'static str, web: Option<&WebConfigWatcher>) {
    let config = web.map(WebConfigWatcher::active);
    let tls = config.as_ref().is_some_and(|config| config.has_tls());
    let auth = config.as_ref().is_some_and(|config| config.has_users());
    let read = move |session: &ReadSession<'_>| {
        let name = session.hostname();
        let is_named = name.is_ok() && name_from == "procfs";
        let is_empty = !is_named && is_missing::<LoadAverage>(session) && is_missing::<Uptime>(session);
        (name.unwrap_or_default().chars().take(LONGEST_NAME).collect::<String>(), is_empty)
    };
    let (node, is_empty) = state.node().read_within(|| READ_TIMEOUT, read).await;
    let procfs = state.node().root().path().display();
    let collectors: Vec<&str> = state.gatherer().collectors().iter().map(|collector| collector.name()).collect();
    tracing::info!(
        version = build_info::VERSION,
        revision = build_info::REVISION,
        %procfs,
        node,
        node_from = name_from,
        collectors = collectors.join(","),
        tls,
        auth,
        "started"
    );
    if is_empty {
        tracing::warn!(%procfs, "not a procfs tree: none of the expected files found; check --path.procfs");
    }
}

fn is_missing<T: ProcFile>(session: &ReadSession<'_>) -> bool {
    session.read::<T>().err().is_some_and(|error| error.kind() == ReadErrorKind::Io(Errno::NOENT))
}
