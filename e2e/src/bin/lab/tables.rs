//! The tables that `lab` prints.

use e2e::stack::samples::NodeSamples;
use e2e::terminal::out::{self, OutError};

/// So many nodes fit on a screen.
const SHOWN: usize = 20;

/// What Prometheus has scraped, a line for each node, of the first ones where there are many.
pub fn samples(nodes: &[NodeSamples]) -> Result<(), OutError> {
    let mut rows = vec![["node", "node_uptime (s)", "node_load 1m", "5m", "15m"].map(str::to_owned).to_vec()];
    for NodeSamples { node, uptime, load: [one, five, fifteen] } in nodes.iter().take(SHOWN) {
        rows.push(vec![node.clone(), uptime.to_string(), one.to_string(), five.to_string(), fifteen.to_string()]);
    }
    out::table(&rows)?;
    match nodes.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => out::line(&format!("and {more} more nodes, which the dashboard shows")),
    }
}

/// What there is to open: name and address.
pub fn links(links: &[(String, String)]) -> Result<(), OutError> {
    out::table(&links.iter().map(|(name, address)| vec![name.clone(), address.clone()]).collect::<Vec<_>>())
}
