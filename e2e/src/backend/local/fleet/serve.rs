//! The process of a fleet: `lab __fleet DIR NODES CLUSTERS`, an exporter for each node, until SIGTERM.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use mini_node_exporter::log::{self, LevelFilter};
use mini_node_exporter::node::ReaderThread;
use mini_node_exporter::{http, server};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

use super::{DiscoveredNode, Fleet};
use crate::terminal::out;
use crate::workspace;

/// The hidden subcommand.
pub(super) const WORD: &str = "__fleet";

/// Serves a fleet when the command line asks for it. `lab` calls it first, as it does the guard.
pub fn enter() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|word| word != WORD) {
        return None;
    }
    let served = parse(args).and_then(|(trees, fleet)| {
        super::allow_open_files();
        // One thread, as the exporter itself: what a node costs here is what it costs there.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(&trees, fleet))
    });
    Some(served.map_or_else(
        |error| {
            out::note(&format!("{error:#}"));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Result<(PathBuf, Fleet)> {
    let trees = args.next().context("no folder of trees")?;
    let mut number =
        || args.next().and_then(|text| text.to_str()?.parse().ok()).context("no number of nodes or clusters");
    Ok((trees.into(), Fleet { nodes: number()?, clusters: number()? }))
}

async fn serve(trees: &Path, fleet: Fleet) -> Result<()> {
    log::init(LevelFilter::WARN, log::LogFormat::default());
    let mut signals = server::ShutdownSignals::catch()?.receive()?;
    let mut serving = JoinSet::new();
    let (mut listed, mut running) = (Vec::new(), Vec::new());
    // Their trees are plain files, which never hang: one thread reads them all.
    let reader = Arc::new(ReaderThread::default());
    for (index, (cluster, node)) in fleet.names().enumerate() {
        let procfs = trees.join(cluster.as_deref().unwrap_or_default()).join(&node);
        // The process is one, and is exposed by one of its nodes: a thousand would each count all its open files.
        let config = http::ExporterOptions {
            procfs,
            node_name: Some(node.clone()),
            exporter_metrics: index == 0,
            reader: Arc::clone(&reader),
            ..http::ExporterOptions::default()
        };
        let app = http::router(http::ExporterState::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0");
        let listener = listener.with_context(|| format!("node {} of {}", index + 1, fleet.nodes))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        listed.push(DiscoveredNode::new(cluster, node, address).every(fleet.interval()));
        // A server of its own for each, so that a full one closes only its own connections.
        let (stop, never) = unbounded_channel();
        running.push(stop);
        serving.spawn(server::serve(vec![server::Listener::new(listener, app, None)], never));
    }
    workspace::replace(&trees.with_file_name(super::DISCOVERED), serde_json::to_vec(&listed)?)?;
    tokio::select! {
        _ = signals.recv() => Ok(()),
        Some(ended) = serving.join_next() => match ended? {
            Ok(()) => bail!("a node's server ended"),
            Err(error) => Err(error),
        },
    }
}
