//! What Prometheus has scraped: each node's uptime and three loads.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::client::prometheus::Prometheus;

/// The values of the label `duration`, in the order of the numbers in `loadavg`.
pub const DURATIONS: [&str; 3] = ["1m", "5m", "15m"];

/// One node's newest samples.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSamples {
    /// The node, as its samples name it.
    pub node: String,
    /// Seconds since its boot.
    pub uptime: f64,
    /// The load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
}

/// The newest samples of every node that has all of them.
pub fn scraped(prometheus: &Prometheus, job: &str) -> Result<Vec<NodeSamples>> {
    let uptimes = prometheus.query(&format!(r#"node_uptime{{job="{job}"}}"#))?;
    let loads = prometheus.query(&format!(r#"node_load{{job="{job}"}}"#))?;
    let loads: BTreeMap<(String, &str), f64> =
        loads.iter().map(|sample| ((sample.node(), sample.label("duration")), sample.value)).collect();
    let load = |node: &str, duration| loads.get(&(node.to_owned(), duration)).copied();
    let mut nodes: Vec<NodeSamples> = uptimes
        .iter()
        .filter_map(|sample| {
            let node = sample.node();
            let load = [load(&node, "1m")?, load(&node, "5m")?, load(&node, "15m")?];
            Some(NodeSamples { node, uptime: sample.value, load })
        })
        .collect();
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(nodes)
}
