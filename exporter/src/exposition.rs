//! What a scrape exposes, in the text format 0.0.4.

mod process;

use std::time::Instant;

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use crate::build_info;
use crate::collector::{Collector, gauge_family};
use crate::node::ReadSession;
use process::ProcessMetrics;

/// The content type of the text format. The crate's own lacks the charset.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Room for a usual exposition, in families and in bytes of text, so that it is not copied while it grows.
const USUAL_FAMILIES: usize = 16;
const USUAL_TEXT: usize = 4096;

/// Builds the metrics of the node and of this process.
pub struct Gatherer {
    collectors: Vec<&'static dyn Collector>,
    process: Option<ProcessMetrics>,
}

impl Gatherer {
    /// `process_metrics` adds the metrics of this very process, `process_*`.
    #[must_use]
    pub fn new(collectors: Vec<&'static dyn Collector>, process_metrics: bool) -> Self {
        Self { collectors, process: process_metrics.then(ProcessMetrics::default) }
    }

    /// The collectors that are enabled.
    #[must_use]
    pub fn collectors(&self) -> &[&'static dyn Collector] {
        &self.collectors
    }

    /// Runs these collectors.
    #[must_use]
    pub fn gather(&self, session: &ReadSession<'_>, collectors: &[&'static dyn Collector]) -> Vec<MetricFamily> {
        let labels =
            [("version", build_info::VERSION), ("revision", build_info::REVISION), ("rustc", build_info::RUSTC)];
        let help = "What this exporter was built from; the value is always 1.";
        let mut families = Vec::with_capacity(USUAL_FAMILIES);
        families.push(gauge_family("mini_node_exporter_build_info", help, [(labels, 1.0)]));
        collect(session, collectors, &mut families);
        if let Some(process) = &self.process {
            process.collect(&mut families);
        }
        families
    }
}

/// Writes families in the text format.
///
/// # Errors
///
/// When a family has no name or no sample.
pub fn encode(families: &[MetricFamily]) -> prometheus::Result<String> {
    let mut text = String::with_capacity(USUAL_TEXT);
    TextEncoder::new().encode_utf8(families, &mut text)?;
    Ok(text)
}

/// Runs the collectors, and adds whether each succeeded and how long it took.
fn collect(session: &ReadSession<'_>, collectors: &[&'static dyn Collector], families: &mut Vec<MetricFamily>) {
    let mut durations = Vec::with_capacity(collectors.len());
    let mut successes = Vec::with_capacity(collectors.len());
    for collector in collectors {
        let (label, began) = ([("collector", collector.name())], Instant::now());
        // The node logs a file when it breaks; a failed collector only exposes nothing.
        let collected = collector.collect(session);
        successes.push((label, if collected.is_ok() { 1.0 } else { 0.0 }));
        durations.push((label, began.elapsed().as_secs_f64()));
        families.extend(collected.unwrap_or_default());
    }
    // The encoder refuses a family without samples.
    if collectors.is_empty() {
        return;
    }
    let help = "Seconds that a collector took in this scrape.";
    families.push(gauge_family("node_scrape_collector_duration_seconds", help, durations));
    let help = "Whether a collector succeeded in this scrape; a failed one exposes no samples.";
    families.push(gauge_family("node_scrape_collector_success", help, successes));
}
