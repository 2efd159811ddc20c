//! What Prometheus has scraped, as a table: node, uptime and the three loads.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::out::{self, OutError};
use crate::poll::{self, Attempt};
use crate::prometheus::Prometheus;
use crate::stack::{Backend, JOB};

/// One node's newest samples.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSamples {
    /// The node's name.
    pub node: String,
    /// Seconds since its boot.
    pub uptime: f64,
    /// The load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
}

/// The newest samples of every node that has all of them.
///
/// # Errors
///
/// Prometheus does not answer.
pub fn scraped(prometheus: &Prometheus) -> Result<Vec<NodeSamples>> {
    let uptimes = prometheus.query(&format!(r#"node_uptime{{job="{JOB}"}}"#))?;
    let loads = prometheus.query(&format!(r#"node_load{{job="{JOB}"}}"#))?;
    let load = |node: &str, duration: &str| {
        let own =
            |sample: &&crate::prometheus::Sample| sample.label("node") == node && sample.label("duration") == duration;
        loads.iter().find(own).map(|sample| sample.value)
    };
    let mut nodes: Vec<NodeSamples> = uptimes
        .iter()
        .filter_map(|sample| {
            let node = sample.label("node");
            let load = [load(node, "1m")?, load(node, "5m")?, load(node, "15m")?];
            Some(NodeSamples { node: node.to_owned(), uptime: sample.value, load })
        })
        .collect();
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(nodes)
}

/// Waits until Prometheus has samples of every node.
///
/// # Errors
///
/// A part of the stack ended, or 40 s passed.
pub fn wait(backend: &dyn Backend) -> Result<Vec<NodeSamples>> {
    let stack = backend.stack();
    let look = || {
        let nodes = scraped(&stack.prometheus)?;
        ensure!(nodes.len() >= stack.nodes.len(), "{} of {} nodes scraped", nodes.len(), stack.nodes.len());
        Ok(nodes)
    };
    poll::until("samples of every node", Duration::from_secs(40), Duration::from_millis(100), || {
        match (look(), backend.alive()) {
            (_, Err(ended)) => Attempt::Failed(ended),
            (Ok(nodes), Ok(())) => Attempt::Ready(nodes),
            (Err(seen), Ok(())) => Attempt::NotYet(format!("{seen:#}")),
        }
    })
}

/// Writes the samples to standard output.
///
/// # Errors
///
/// Standard output is closed or full.
pub fn print(nodes: &[NodeSamples]) -> Result<(), OutError> {
    let mut rows = vec![["node", "node_uptime (s)", "node_load 1m", "5m", "15m"].map(str::to_owned).to_vec()];
    for NodeSamples { node, uptime, load: [one, five, fifteen] } in nodes {
        rows.push(vec![node.clone(), uptime.to_string(), one.to_string(), five.to_string(), fifteen.to_string()]);
    }
    out::table(&rows)
}

/// Writes names and addresses to standard output.
///
/// # Errors
///
/// Standard output is closed or full.
pub fn print_links(links: &[(String, String)]) -> Result<(), OutError> {
    out::table(&links.iter().map(|(name, address)| vec![name.clone(), address.clone()]).collect::<Vec<_>>())
}
