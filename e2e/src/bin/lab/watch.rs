//! The nodes of a lab while it stays: on a terminal their table, drawn anew in place; elsewhere a line whenever a node goes
//! or returns, or an alert begins or ends.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::client::prometheus::Prometheus;
use e2e::stack::nodes::Nodes;
use e2e::terminal::live::Live;

use crate::tables;

/// The deadline of a request: the lab's end waits for the answer.
const LIMIT: Duration = Duration::from_secs(1);

/// How often Prometheus is asked, in a lab that is small: looking must not be what the machine is busy with.
const EVERY: Duration = Duration::from_secs(1);
const SHARE: u32 = 5;

/// Shows the nodes, and how they change from what was `told`, until the pause between two looks says that it is over.
pub fn watch(
    prometheus: &Prometheus,
    live: &Live,
    mut told: Vec<String>,
    mut pause: impl FnMut(Duration) -> bool,
) -> Result<()> {
    let prometheus = &Prometheus::with_limit(prometheus.base(), LIMIT);
    loop {
        let began = Instant::now();
        let seen = if live.is_drawn() { Nodes::query(prometheus) } else { Nodes::query_states(prometheus) };
        match seen.map(|seen| (seen.summary(), seen)) {
            Ok((summary, seen)) if live.is_drawn() => {
                // A terminal that is too low for all of it shows the beginning.
                live.draw(format!("{}\n\n{}", summary.join("\n"), tables::nodes(&seen)?.trim_end()));
            }
            Ok((summary, _)) if summary != told => {
                live.line(&summary.join("; "))?;
                told = summary;
            }
            Err(error) if live.is_drawn() => live.draw(format!("cannot query Prometheus: {error:#}")),
            // Nothing has changed; or Prometheus does not answer, and the end of the lab is detected elsewhere.
            Ok(_) | Err(_) => {}
        }
        if !pause(EVERY.max(began.elapsed() * SHARE)) {
            return Ok(());
        }
    }
}
