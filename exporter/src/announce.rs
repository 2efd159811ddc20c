//! The log line `started`: the version, the tree, the node, and how clients are admitted.

use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use crate::build;
use crate::http::Endpoints;
use crate::node::Scrape;
use crate::procfs::{LoadAverage, ProcFile, Reason, Uptime};
use crate::web_config::WebConfig;

/// How long a tree may hold up the start.
const TIMEOUT: Duration = Duration::from_secs(1);

/// No real name of a node is longer, and a pipe takes the whole line at once.
const LONGEST_NAME: usize = 253;

/// Logs one line about this exporter, and a warning where its procfs tree holds nothing. `name_from` says where the
/// node's name comes from.
pub async fn announce(endpoints: &Arc<Endpoints>, name_from: &'static str, web: Option<&WebConfig>) {
    let rules = web.map(WebConfig::rules);
    let tls = rules.as_ref().is_some_and(|rules| rules.has_tls());
    let auth = rules.as_ref().is_some_and(|rules| rules.has_users());
    let read = move |scrape: &Scrape<'_>| {
        let name = scrape.hostname();
        let is_named = name.is_ok() && name_from == "procfs";
        let is_empty = !is_named && is_missing::<LoadAverage>(scrape) && is_missing::<Uptime>(scrape);
        (name.unwrap_or_default().chars().take(LONGEST_NAME).collect::<String>(), is_empty)
    };
    let (node, is_empty) = endpoints.node().scrape(|| TIMEOUT, read).await;
    let procfs = endpoints.node().root().path().display();
    let collectors: Vec<&str> = endpoints.exposition().collectors().iter().map(|collector| collector.name()).collect();
    tracing::info!(
        version = build::VERSION,
        revision = build::REVISION,
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

fn is_missing<T: ProcFile>(scrape: &Scrape<'_>) -> bool {
    scrape.read::<T>().err().is_some_and(|error| error.reason() == Reason::Io(Errno::NOENT))
}
