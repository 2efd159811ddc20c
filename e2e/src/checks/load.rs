//! `load`: the scraped load averages of each node are those of its `loadavg`.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Result, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::prometheus::Sample;
use crate::stack::samples::DURATIONS;
use crate::stack::{Procfs, Stack};

/// How many distinct readings of `loadavg` are kept. The kernel makes a new one every 5 s, and a sample is younger than
/// two of them.
const REMEMBERED: usize = 4;

/// The last distinct readings of `loadavg`, oldest first.
pub(super) type Readings = VecDeque<[f64; 3]>;

/// Exactly three durations a node, whose values are a reading of the tree's `loadavg`; where that cannot be reached,
/// values that a load can have.
pub(super) fn load(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    let mut readings: BTreeMap<&str, Readings> = BTreeMap::new();
    let readable = !matches!(stack.procfs, Procfs::Unseen);
    let result = subject.poll("the loads of `loadavg`", FIRST_SAMPLE, || {
        if readable {
            for (node, now) in stack.procfs.numbers(stack.names(), "loadavg")? {
                remember(readings.entry(node).or_default(), now);
            }
        }
        let scraped = scraped(stack)?;
        for (node, loads) in &scraped {
            if let Some(own) = readings.get(node.as_str()) {
                ensure!(own.contains(loads), "node_load of {node} is {loads:?}, but `loadavg` said {own:?}");
            } else {
                let plausible = loads.iter().all(|load| load.is_finite() && *load >= 0.0);
                ensure!(plausible, "node_load of {node} is {loads:?}; expected finite numbers of 0 or more");
            }
        }
        Ok(scraped)
    });
    Outcome::from(result.map(|scraped| {
        let values = super::few(scraped.iter().map(|(node, [a, b, c])| format!("{node} {a} {b} {c}")));
        let compared =
            if readable { "as in `loadavg`" } else { "plausible; the node's /proc cannot be reached; not compared" };
        format!("{values}, {compared}")
    }))
}

pub(super) fn remember(readings: &mut Readings, now: [f64; 3]) {
    if readings.back() != Some(&now) {
        readings.push_back(now);
    }
    if readings.len() > REMEMBERED {
        readings.pop_front();
    }
}

/// The three loads of every node of the stack.
fn scraped(stack: &Stack) -> Result<BTreeMap<String, [f64; 3]>> {
    let samples = stack.prometheus.query(&format!(r#"node_load{{job="{}"}}"#, stack.job))?;
    let mut by_node: BTreeMap<String, Vec<&Sample>> = BTreeMap::new();
    for sample in &samples {
        by_node.entry(sample.node()).or_default().push(sample);
    }
    let mut loads = BTreeMap::new();
    for node in stack.names() {
        let of_node = by_node.remove(node).unwrap_or_default();
        // A list, not a map, so that a second series of the same duration is seen.
        let mut durations: Vec<&str> = of_node.iter().map(|sample| sample.label("duration")).collect();
        durations.sort_by_key(|duration| DURATIONS.iter().position(|known| known == duration));
        ensure!(durations == DURATIONS, "node_load of {node} has durations {durations:?}; expected {DURATIONS:?}");
        let value = |duration| of_node.iter().find(|sample| sample.label("duration") == duration);
        loads.insert(node.clone(), DURATIONS.map(|duration| value(duration).map_or(f64::NAN, |sample| sample.value)));
    }
    Ok(loads)
}
