//! What a scrape answers: every family, in the text format 0.0.4.

mod boot_clock;
mod process;

use std::time::Instant;

use crate::build;
use crate::collector::{Collector, Head, Text, head};
use crate::node::{Node, Scrape};
use process::Process;

/// The content type of the text format, as Prometheus wants it spelt out.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const BUILD_INFO: Head =
    head!(gauge, "mini_node_exporter_build_info", "What this exporter was built from; the value is always 1.");
const DURATION: Head =
    head!(gauge, "node_scrape_collector_duration_seconds", "Seconds that a collector took in this scrape.");
const SUCCESS: Head = head!(
    gauge,
    "node_scrape_collector_success",
    "1 if a collector could read all it needs in this scrape, 0 if it exposes nothing."
);

/// The collectors of one node, ready to be scraped. Every rendering reads the node's files again.
pub struct Exposition {
    node: Node,
    collectors: Vec<&'static dyn Collector>,
    process: Option<Process>,
}

impl Exposition {
    /// `process` adds the metrics of this very process, `process_*`.
    #[must_use]
    pub fn new(node: Node, collectors: Vec<&'static dyn Collector>, process: bool) -> Self {
        Self { node, collectors, process: process.then(Process::new) }
    }

    /// The node that is described.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The collectors that are enabled.
    #[must_use]
    pub fn collectors(&self) -> &[&'static dyn Collector] {
        &self.collectors
    }

    /// Scrapes every enabled collector.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_only(&self.collectors)
    }

    /// Scrapes these collectors and no others.
    #[must_use]
    pub fn render_only(&self, collectors: &[&'static dyn Collector]) -> String {
        let mut text = Text::new();
        let labels = [("version", build::VERSION), ("revision", build::REVISION), ("rustc", build::RUSTC)];
        text.family(BUILD_INFO).sample(&labels, 1.0);
        collect(&self.node, collectors, &mut text);
        if let Some(process) = &self.process {
            process.collect(&mut text);
        }
        text.finish()
    }
}

/// Runs the collectors, and says of each whether it succeeded and how long it took.
fn collect(node: &Node, collectors: &[&'static dyn Collector], text: &mut Text) {
    let scrape = Scrape::new(node);
    let mut outcomes = Vec::with_capacity(collectors.len());
    for collector in collectors {
        let began = Instant::now();
        // The node has logged what is wrong when it broke; here a failed collector is only left out.
        let success = text.all_or_nothing(|text| collector.collect(&scrape, text)).is_ok();
        outcomes.push((collector.name(), success, began.elapsed()));
    }
    // A family without samples is left out, too.
    if outcomes.is_empty() {
        return;
    }
    let mut family = text.family(DURATION);
    for (name, _, took) in &outcomes {
        family.sample(&[("collector", name)], took.as_secs_f64());
    }
    let mut family = text.family(SUCCESS);
    for (name, success, _) in &outcomes {
        family.sample(&[("collector", name)], if *success { 1.0 } else { 0.0 });
    }
}
