//! Runs the collectors at every scrape, and says of each whether it succeeded and how long it took.

use std::sync::Arc;
use std::time::Instant;

use prometheus::core::Desc;
use prometheus::proto::MetricFamily;

use crate::collector::{Collector, Kind, family, sample};
use crate::node::{Node, Scrape};

const DURATION: &str = "node_scrape_collector_duration_seconds";
const DURATION_HELP: &str = "Seconds that a collector took in this scrape.";
const SUCCESS: &str = "node_scrape_collector_success";
const SUCCESS_HELP: &str = "1 if a collector could read all it needs in this scrape, 0 if it exposes nothing.";

/// The bridge between our collectors and what a registry calls one.
pub(super) struct Gather {
    node: Arc<Node>,
    collectors: Vec<&'static dyn Collector>,
    descs: [Desc; 2],
}

impl Gather {
    pub(super) fn new(node: Arc<Node>, collectors: Vec<&'static dyn Collector>) -> prometheus::Result<Self> {
        let desc = |name: &str, help: &str| {
            Desc::new(name.into(), help.into(), vec!["collector".into()], std::collections::HashMap::new())
        };
        Ok(Self { node, collectors, descs: [desc(DURATION, DURATION_HELP)?, desc(SUCCESS, SUCCESS_HELP)?] })
    }
}

impl prometheus::core::Collector for Gather {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let scrape = Scrape::new(&self.node);
        let mut families = Vec::new();
        let (mut durations, mut successes) = (Vec::new(), Vec::new());
        for collector in &self.collectors {
            let began = Instant::now();
            let result = collector.collect(&scrape);
            let took = began.elapsed().as_secs_f64();
            let labels = [("collector", collector.name())];
            durations.push(sample(Kind::Gauge, &labels, took));
            successes.push(sample(Kind::Gauge, &labels, if result.is_ok() { 1.0 } else { 0.0 }));
            // The node has logged what is wrong when it broke; here a failed collector is only left out.
            families.extend(result.unwrap_or_default());
        }
        families.push(family(Kind::Gauge, DURATION, DURATION_HELP, durations));
        families.push(family(Kind::Gauge, SUCCESS, SUCCESS_HELP, successes));
        families
    }
}
