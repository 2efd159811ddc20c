//! The tables that `lab` prints.

use e2e::run::Found;
use e2e::stack::nodes::Nodes;
use e2e::stack::samples::NodeSamples;
use e2e::terminal::out::{self, OutError};

/// So many nodes fit on a screen.
const SHOWN: usize = 20;

/// What Prometheus has scraped, a line for each target, of the first ones where there are many.
pub fn nodes(nodes: &Nodes) -> Result<String, OutError> {
    let head: &[_] =
        if nodes.are_ours() { &["node", "node_uptime (s)", "node_load 1m", "5m", "15m"] } else { &["instance", "up"] };
    let mut table = vec![head.iter().map(ToString::to_string).collect()];
    let rows = nodes.rows();
    if rows.is_empty() {
        return Ok(String::new());
    }
    for (node, up, samples) in rows.iter().take(SHOWN) {
        let values = match samples {
            _ if !nodes.are_ours() => {
                table.push(vec![(*node).to_owned(), u8::from(*up).to_string()]);
                continue;
            }
            Some(NodeSamples { uptime, load: [one, five, fifteen], .. }) => {
                [uptime, one, five, fifteen].map(ToString::to_string)
            }
            None => ["-"; 4].map(str::to_owned),
        };
        table.push([vec![(*node).to_owned()], values.to_vec()].concat());
    }
    let more = match rows.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    Ok(out::aligned(&table)? + &more)
}

/// Several labs, a line each.
pub fn runs(runs: &[Found]) -> Result<(), OutError> {
    let mut table = vec![["run", "backend", "state", "process", "prometheus"].map(str::to_owned).to_vec()];
    for run in runs {
        let record = run.record.as_ref();
        let [backend, process] =
            record.map_or(["-"; 2].map(str::to_owned), |record| [record.backend.clone(), record.pid.to_string()]);
        let address = run.prometheus().unwrap_or("still starting").to_owned();
        table.push(vec![run.id.clone(), backend, run.state().into(), process, address]);
    }
    out::table(&table)
}

/// What there is to open: name and address.
pub fn links(links: &[(String, String)]) -> Result<(), OutError> {
    out::table(&links.iter().map(|(name, address)| vec![name.clone(), address.clone()]).collect::<Vec<_>>())
}
