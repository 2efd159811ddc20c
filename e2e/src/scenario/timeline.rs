//! A node's timeline: at each step what its files say, and whether its exporter answers.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

use crate::backend::local::scenario_nodes::{ExporterState, NodeStep};
use crate::client::prometheus::Labels;
use crate::play::notation::Step;
use crate::stack::samples::DURATIONS;

/// A node, step by step.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub node: String,
    pub steps: Vec<NodeStep>,
}

/// A series of a scenario file, and its line there.
pub(super) struct Series {
    pub line: u64,
    pub labels: Labels,
    pub steps: Vec<Step>,
}

/// The series of one node.
#[derive(Default)]
struct OfNode<'s> {
    up: Option<&'s Series>,
    uptime: Option<&'s Series>,
    load: [Option<&'s Series>; 3],
}

/// Makes the timelines that the series of a file describe.
pub(super) fn timelines(all: &[Series]) -> Result<Vec<Timeline>> {
    let first = all.first().context("no `input_series`; expected node_uptime and node_load of a node")?;
    let mut nodes: BTreeMap<&str, OfNode> = BTreeMap::new();
    for series in all {
        let line = series.line;
        let (length, wanted) = (series.steps.len(), first.steps.len());
        ensure!(length == wanted, "line {line}: {length} steps; expected {wanted}, as in line {}", first.line);
        let place = place(&mut nodes, series).with_context(|| format!("line {line}"))?;
        ensure!(place.is_none(), "line {line}: duplicate series");
        *place = Some(series);
    }
    nodes.into_iter().map(|(node, series)| series.timeline(node).with_context(|| format!("node `{node}`"))).collect()
}

fn place<'n, 's>(
    nodes: &'n mut BTreeMap<&'s str, OfNode<'s>>,
    series: &'s Series,
) -> Result<&'n mut Option<&'s Series>> {
    let label = |name: &str| series.labels.get(name).map(String::as_str);
    let node = label("node").context("no label `node`")?;
    ensure!(!node.is_empty() && !node.contains(['/', '\0']) && !node.starts_with('.'), "invalid node name `{node}`");
    let of_node = nodes.entry(node).or_default();
    let (place, labels) = match (label("__name__").unwrap_or_default(), label("duration")) {
        ("up", None) => (&mut of_node.up, 2),
        ("node_uptime", None) => (&mut of_node.uptime, 2),
        ("node_load", Some(duration)) => {
            let index = DURATIONS.iter().position(|known| *known == duration);
            (
                &mut of_node.load
                    [index.with_context(|| format!("invalid duration=\"{duration}\"; expected 1m, 5m or 15m"))?],
                3,
            )
        }
        ("node_load", None) => bail!("no label `duration`; expected 1m, 5m or 15m"),
        (name, _) => bail!("unknown series `{name}`; expected up, node_uptime or node_load"),
    };
    ensure!(
        series.labels.len() == labels,
        "unexpected labels; only `node`, and `duration` of node_load, may be given: the lab adds the others"
    );
    Ok(place)
}

impl OfNode<'_> {
    fn timeline(&self, node: &str) -> Result<Timeline> {
        let uptime = self.uptime.context("no series of node_uptime")?;
        let mut load = Vec::new();
        for (series, duration) in self.load.iter().zip(DURATIONS) {
            load.push(series.with_context(|| format!("no series of node_load with duration=\"{duration}\""))?);
        }
        let files: Vec<&Series> = load.iter().copied().chain([uptime]).collect();
        let (mut gone, mut discovered) = (false, true);
        let mut steps = Vec::new();
        for index in 0..uptime.steps.len() {
            let at = |series: &Series| series.steps[index];
            gone = match files.iter().filter(|series| at(series) == Step::Stale).count() {
                0 => gone && files.iter().all(|series| at(series) == Step::Missing),
                all if all == files.len() => true,
                _ => bail!("step {index}: `stale` in some series; expected it in all, for the exporter is gone"),
            };
            let loads: Vec<f64> = load.iter().filter_map(|series| value(at(series))).collect();
            let load = match loads[..] {
                [] => None,
                [one, five, fifteen] => Some([one, five, fifteen]),
                _ => bail!("step {index}: `_` in some loads; expected it in all three, for they are in one file"),
            };
            let mut hangs = false;
            if let Some(up) = self.up {
                match at(up) {
                    Step::Stale => discovered = false,
                    Step::Missing => {}
                    Step::Value(value) => (discovered, hangs) = (true, value < 1.0),
                }
            }
            let state = match () {
                () if !discovered => ExporterState::Undiscovered,
                () if gone => ExporterState::Gone,
                () if hangs => ExporterState::Hangs,
                () => ExporterState::Answers,
            };
            steps.push(NodeStep { state, uptime: value(at(uptime)), load });
        }
        let first = steps.first().context("no step")?;
        let healthy = first.state == ExporterState::Answers && first.uptime.is_some() && first.load.is_some();
        ensure!(healthy, "step 0: the node must start healthy");
        Ok(Timeline { node: node.to_owned(), steps })
    }
}

fn value(step: Step) -> Option<f64> {
    match step {
        Step::Value(value) => Some(value),
        Step::Missing | Step::Stale => None,
    }
}
