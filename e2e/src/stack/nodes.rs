//! What Prometheus knows of the targets of a lab now: which are up, the newest samples of nodes, and the alerts about them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::JOB;
use super::samples::{self, NodeSamples};
use crate::client::prometheus::{Prometheus, Sample};
use crate::terminal::out;

/// The job in which the lab's Prometheus scrapes itself; every other target is what the lab is about.
pub const ITSELF: &str = "prometheus";

/// At most this many names are listed.
const LISTED: usize = 3;

/// The nodes, or the instances of another program, as they were seen at one time.
#[derive(Debug, Default)]
pub struct Nodes {
    /// Whether they are nodes, with this repository's exporter.
    ours: bool,
    /// Whether each answers.
    up: BTreeMap<String, bool>,
    samples: BTreeMap<String, NodeSamples>,
    /// The nodes that each firing alert is about; none where it is about no single one.
    alerts: BTreeMap<String, BTreeSet<String>>,
}

impl Nodes {
    /// Asks Prometheus.
    pub fn query(prometheus: &Prometheus) -> Result<Self> {
        let states = Self::query_states(prometheus)?;
        if !states.ours {
            return Ok(states);
        }
        let samples = samples::scraped(prometheus, JOB)?.into_iter();
        Ok(Self { samples: samples.map(|samples| (samples.node.clone(), samples)).collect(), ..states })
    }

    /// As [`Nodes::query`], without their samples, which are most of the work.
    pub fn query_states(prometheus: &Prometheus) -> Result<Self> {
        let up = prometheus.query(&format!(r#"up{{job!="{ITSELF}"}}"#))?;
        let ours = up.iter().all(|sample| !sample.label("node").is_empty());
        let name = |sample: &Sample| if ours { sample.node() } else { sample.label("instance").to_owned() };
        let mut alerts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for alert in prometheus.query(r#"ALERTS{alertstate="firing"}"#)? {
            let nodes = alerts.entry(alert.label("alertname").to_owned()).or_default();
            nodes.extend(Some(name(&alert)).filter(|name| !name.is_empty()));
        }
        Ok(Self {
            ours,
            up: up.iter().map(|sample| (name(sample), sample.value >= 1.0)).collect(),
            samples: BTreeMap::new(),
            alerts,
        })
    }

    pub fn are_ours(&self) -> bool {
        self.ours
    }

    /// Each one, those first that something is wrong with, whether it is up, and its samples: none where it does not answer.
    pub fn rows(&self) -> Vec<(&str, bool, Option<&NodeSamples>)> {
        let is_well = |node: &str| self.up[node] && !self.alerts.values().any(|nodes| nodes.contains(node));
        let mut nodes: Vec<&str> = self.up.keys().map(String::as_str).collect();
        nodes.sort_by_key(|node| is_well(node));
        let row = |node| (node, self.up[node], self.samples.get(node).filter(|_| self.up[node]));
        nodes.into_iter().map(row).collect()
    }

    /// How many answer, and what is alerted of: a line each.
    pub fn summary(&self) -> Vec<String> {
        let down: Vec<&str> = self.up.iter().filter(|(_, up)| !**up).map(|(node, _)| node.as_str()).collect();
        let what = if self.ours { "nodes" } else { "targets" };
        let up = format!("{} of {} {what} up", self.up.len() - down.len(), self.up.len());
        let first = match () {
            // Samples that arrive by remote write are of no target.
            () if self.up.is_empty() && self.alerts.is_empty() => Some("no alert fires".to_owned()),
            () if self.up.is_empty() => None,
            () if down.is_empty() => Some(up),
            () => Some(format!("{up}; down: {}", out::first(LISTED, &down))),
        };
        let fires = |(name, nodes): (&String, &BTreeSet<String>)| {
            let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
            if nodes.is_empty() {
                format!("{name} fires")
            } else {
                format!("{name} fires for {}", out::first(LISTED, &nodes))
            }
        };
        first.into_iter().chain(self.alerts.iter().map(fires)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(up: &[(&str, bool)], alerts: &[(&str, &[&str])]) -> Nodes {
        let of = |node: &str| NodeSamples { node: node.into(), uptime: 1.0, load: [0.0; 3] };
        Nodes {
            ours: true,
            up: up.iter().map(|(node, up)| (node.to_string(), *up)).collect(),
            samples: up.iter().map(|(node, _)| (node.to_string(), of(node))).collect(),
            alerts: alerts
                .iter()
                .map(|(name, nodes)| (name.to_string(), nodes.iter().map(ToString::to_string).collect()))
                .collect(),
        }
    }

    #[test]
    fn what_is_wrong_comes_first_and_a_node_that_is_down_shows_no_samples() {
        let nodes = seen(&[("a", true), ("b", true), ("c", false)], &[("High", &["b"])]);
        let rows: Vec<_> = nodes.rows().into_iter().map(|(node, _, samples)| (node, samples.is_some())).collect();
        assert_eq!(rows, [("b", true), ("c", false), ("a", true)]);
        assert_eq!(nodes.summary(), ["2 of 3 nodes up; down: c", "High fires for b"]);
    }

    #[test]
    fn the_first_of_many_names_are_listed() {
        let all: Vec<(&str, bool)> = ["a", "b", "c", "d", "e"].map(|node| (node, false)).to_vec();
        let nodes = seen(&all, &[("Many", &[])]);
        assert_eq!(nodes.summary(), ["0 of 5 nodes up; down: a, b, c and 2 more", "Many fires"]);
        assert_eq!(seen(&all[..3], &[]).summary(), ["0 of 3 nodes up; down: a, b, c"]);
        assert_eq!(seen(&[], &[]).summary(), ["no alert fires"]);
        assert_eq!(seen(&[], &[("Many", &[])]).summary(), ["Many fires"]);
    }
}
