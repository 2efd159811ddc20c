//! A node's timeline: at each step what its files say, and whether its exporter answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::backend::local::scenario_nodes::{ExporterState, NodeStep};
use crate::client::prometheus::Labels;
use crate::play::file::{Series, Test};
use crate::play::notation::{Step, written};
use crate::stack::JOB;
use crate::stack::samples::DURATIONS;

/// The uptime at the start, in seconds, and the load of a node of which nothing is said.
const UPTIME: f64 = 864_000.0;
const LOAD: f64 = 0.5;

/// The collectors whose success may be given.
const COLLECTORS: [&str; 2] = ["uptime", "load"];

/// A node, step by step.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Its name; one in a cluster is `cluster/node`.
    pub node: String,
    pub steps: Vec<NodeStep>,
}

/// A series, with its value at each step, if it has one.
struct Values<'t> {
    series: &'t Series,
    steps: Vec<Option<f64>>,
}

/// The series of one node.
#[derive(Default)]
struct OfNode<'t> {
    up: Option<Values<'t>>,
    uptime: Option<Values<'t>>,
    load: [Option<Values<'t>>; 3],
    success: [Option<Values<'t>>; 2],
}

/// Makes the timelines that the series of a test describe. The exporters of `hanging` nodes do not end where `up` is 0.
pub(super) fn timelines(test: &Test, hanging: &BTreeSet<&str>) -> Result<Vec<Timeline>> {
    let ends = test.series.iter().filter_map(|series| Some(series.samples.last()?.0));
    let end = ends.max().context("no `input_series`; expected `up` of a node")?;
    let count = usize::try_from(end.as_millis() / test.interval.as_millis())? + 1;
    let mut nodes: BTreeMap<String, (&str, OfNode<'_>)> = BTreeMap::new();
    for series in &test.series {
        let shown = || format!("`{}`", written(&series.labels));
        let steps = steps(series, test.interval, count).with_context(shown)?;
        let key = key(&series.labels).with_context(shown)?;
        let (_, node) = nodes.entry(key).or_insert_with(|| (&series.labels["node"], OfNode::default()));
        *node.place(&series.labels).with_context(shown)? = Some(Values { series, steps });
    }
    let known: BTreeSet<&str> = nodes.values().map(|(node, _)| *node).collect();
    if let Some(unknown) = hanging.difference(&known).next() {
        bail!("no node `{unknown}`, which a comment says hangs");
    }
    let timeline = |(key, (node, series)): (String, (&str, OfNode<'_>))| {
        let steps = series.timeline(count, test.interval, hanging.contains(node));
        Ok(Timeline { steps: steps.with_context(|| format!("node `{key}`"))?, node: key })
    };
    nodes.into_iter().map(timeline).collect()
}

/// The value of a series at each step.
fn steps(series: &Series, interval: Duration, count: usize) -> Result<Vec<Option<f64>>> {
    let mut samples = series.samples.iter().peekable();
    let mut is_there = false;
    let step = |time: Duration| {
        let value = match samples.next_if(|(of_sample, _)| *of_sample == time) {
            Some((_, Step::Value(value))) => Some(*value),
            Some((_, Step::Stale | Step::Missing)) => None,
            None => {
                let at = humantime::format_duration(time);
                ensure!(!is_there, "no value at {at}; expected `stale` first, for a scrape without it ends a series");
                None
            }
        };
        is_there = value.is_some();
        Ok(value)
    };
    (0..).map(|index| interval * index).take(count).map(step).collect()
}

/// Checks the labels that a scrape gives every series; returns the node's name with its cluster.
fn key(labels: &Labels) -> Result<String> {
    let label = |name: &str| labels.get(name).map(String::as_str);
    let node = label("node").context("no label `node`")?;
    for (name, expected) in [("job", JOB), ("instance", node)] {
        ensure!(label(name) == Some(expected), "expected the label {name}=\"{expected}\", which a scrape gives it");
    }
    for name in [Some(node), label("cluster")].into_iter().flatten() {
        let is_valid = !name.is_empty() && !name.contains(['/', '\0']) && !name.starts_with('.');
        ensure!(is_valid, "invalid name of a node or a cluster `{name}`");
    }
    Ok(label("cluster").map_or_else(|| node.to_owned(), |cluster| format!("{cluster}/{node}")))
}

impl<'t> OfNode<'t> {
    /// Where a series with these labels belongs.
    fn place(&mut self, labels: &Labels) -> Result<&mut Option<Values<'t>>> {
        let label = |name: &str| labels.get(name).map_or("", String::as_str);
        let index = |name: &str, known: &[&str]| {
            let found = known.iter().position(|known| *known == label(name));
            found.with_context(|| format!("invalid {name}=\"{}\"; expected {}", label(name), known.join(", ")))
        };
        let (place, own): (_, &[&str]) = match label("__name__") {
            "up" => (&mut self.up, &[]),
            "node_uptime" => (&mut self.uptime, &["hostname"]),
            "node_load" => (&mut self.load[index("duration", &DURATIONS)?], &["hostname", "duration"]),
            "node_scrape_collector_success" => (&mut self.success[index("collector", &COLLECTORS)?], &["collector"]),
            _ => bail!("expected up, node_uptime, node_load or node_scrape_collector_success"),
        };
        if own.contains(&"hostname") {
            let node = label("node");
            ensure!(label("hostname") == node, "expected the label hostname=\"{node}\", which the exporter gives it");
        }
        let expected = ["__name__", "job", "instance", "node", "cluster"];
        let unexpected = labels.keys().find(|name| !expected.contains(&name.as_str()) && !own.contains(&name.as_str()));
        ensure!(unexpected.is_none(), "unexpected label `{}`", unexpected.map_or("", String::as_str));
        Ok(place)
    }

    fn timeline(&self, count: usize, interval: Duration, hangs: bool) -> Result<Vec<NodeStep>> {
        let up = self.up.as_ref().context("no series `up`")?;
        let mut steps: Vec<NodeStep> = Vec::new();
        for index in 0..count {
            let at = humantime::format_duration(interval * u32::try_from(index)?);
            let state = match up.steps[index] {
                None => ExporterState::Undiscovered,
                Some(1.0) => ExporterState::Answers,
                Some(0.0) if hangs => ExporterState::Hangs,
                Some(0.0) => ExporterState::Gone,
                Some(other) => bail!("`up` is {other} at {at}; expected 0, 1 or `stale`"),
            };
            let answers = state == ExporterState::Answers;
            if let Some(values) = self.others().find(|values| !answers && values.steps[index].is_some()) {
                bail!("`{}` has a value at {at}, when `up` is not 1", written(&values.series.labels));
            }
            let step = if answers {
                let step = NodeStep { state, uptime: self.uptime(index, interval), load: self.load(index)? };
                self.check_success(index, &step).with_context(|| at.to_string())?;
                step
            } else {
                // Its files stay as they were.
                NodeStep { state, ..*steps.last().context("the node must start healthy")? }
            };
            ensure!(index > 0 || step.uptime.is_some() && step.load.is_some(), "the node must start healthy");
            steps.push(step);
        }
        Ok(steps)
    }

    /// All series but `up`.
    fn others(&self) -> impl Iterator<Item = &Values<'t>> {
        [&self.uptime].into_iter().chain(&self.load).chain(&self.success).flatten()
    }

    fn uptime(&self, index: usize, interval: Duration) -> Option<f64> {
        let Some(uptime) = &self.uptime else {
            return Some(UPTIME + (interval * u32::try_from(index).unwrap_or(u32::MAX)).as_secs_f64());
        };
        uptime.steps[index]
    }

    /// What is not given is as what is.
    fn load(&self, index: usize) -> Result<Option<[f64; 3]>> {
        let given: Vec<Option<f64>> = self.load.iter().flatten().map(|values| values.steps[index]).collect();
        let Some(first) = given.first() else { return Ok(Some([LOAD; 3])) };
        let is_one_file = given.iter().all(|value| value.is_some() == first.is_some());
        ensure!(is_one_file, "step {index}: some loads have no value; expected all or none, for they are in one file");
        let Some(first) = first else { return Ok(None) };
        let of = |values: &Option<Values<'_>>| values.as_ref().and_then(|values| values.steps[index]);
        Ok(Some([0, 1, 2].map(|duration: usize| of(&self.load[duration]).unwrap_or(*first))))
    }

    fn check_success(&self, index: usize, step: &NodeStep) -> Result<()> {
        let is_read = [step.uptime.is_some(), step.load.is_some()];
        for (values, is_read) in self.success.iter().zip(is_read) {
            let Some(values) = values else { continue };
            let expected = f64::from(u8::from(is_read));
            ensure!(values.steps[index] == Some(expected), "`{}` is not {expected}", written(&values.series.labels));
        }
        Ok(())
    }
}
