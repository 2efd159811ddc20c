//! What the log says first: what has started, and what it describes.

use std::sync::Arc;

use crate::build;
use crate::exposition::Exposition;
use crate::http::State;
use crate::web::Web;

/// What the line shows of a node's name: no real one is longer, and a pipe takes the whole line at once.
const LONGEST_NAME: usize = 253;

/// Logs one line about this exporter, and a warning where its procfs tree holds nothing. `name_from` says where the
/// node's name comes from.
///
/// A tree that is not the kernel's own may never answer: it is looked at by a thread of its own, for which nobody waits.
pub fn announce(state: &Arc<State>, name_from: &'static str, web: Option<&Web>) {
    let rules = web.map(Web::rules);
    let tls = rules.as_ref().is_some_and(|rules| rules.has_tls());
    let auth = rules.as_ref().is_some_and(|rules| rules.has_users());
    let is_live = state.exposition().node().is_live();
    let state = Arc::clone(state);
    let say = move || say(state.exposition(), name_from, tls, auth);
    if is_live {
        say();
    } else {
        std::thread::spawn(say);
    }
}

fn say(exposition: &Exposition, name_from: &str, tls: bool, auth: bool) {
    let node = exposition.node();
    let procfs = node.root().path().display();
    let name: String = node.hostname().unwrap_or_default().chars().take(LONGEST_NAME).collect();
    let names: Vec<&str> = exposition.collectors().iter().map(|collector| collector.name()).collect();
    tracing::info!(
        version = build::VERSION,
        revision = build::REVISION,
        %procfs,
        node = name,
        node_from = name_from,
        collectors = names.join(","),
        tls,
        auth,
        "started"
    );
    if node.is_empty() {
        tracing::warn!(%procfs, "this is no procfs tree: it has none of the files that are read; check --path.procfs");
    }
}
