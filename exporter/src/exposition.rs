//! What a scrape answers: every family, in the text format 0.0.4, from an explicit registry.

mod gather;
mod process;
mod start_time;

use std::sync::Arc;

use prometheus::{Gauge, Opts, Registry, TextEncoder};

use crate::build;
use crate::collector::Collector;
use crate::node::Node;
use gather::Gather;
use process::Process;

/// The content type of the text format, as Prometheus wants it spelt out.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The collectors of one node, ready to be scraped. Every rendering reads the node's files again.
pub struct Exposition {
    node: Arc<Node>,
    collectors: Vec<&'static dyn Collector>,
    process: Option<Process>,
    all: Registry,
}

impl Exposition {
    /// `process` adds the metrics of this very process, `process_*`.
    ///
    /// # Errors
    ///
    /// When two metrics contradict each other.
    pub fn new(node: Arc<Node>, collectors: Vec<&'static dyn Collector>, process: bool) -> prometheus::Result<Self> {
        let process = process.then(Process::new).transpose()?;
        let all = registry(&node, collectors.clone(), process.as_ref())?;
        Ok(Self { node, collectors, process, all })
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
    ///
    /// # Errors
    ///
    /// When a family has no name, which no collector can cause by what it reads.
    pub fn render(&self) -> prometheus::Result<String> {
        render(&self.all)
    }

    /// Scrapes these collectors and no others.
    ///
    /// # Errors
    ///
    /// As [`Exposition::render`], and when two metrics contradict each other.
    pub fn render_only(&self, collectors: Vec<&'static dyn Collector>) -> prometheus::Result<String> {
        render(&registry(&self.node, collectors, self.process.as_ref())?)
    }
}

fn registry(
    node: &Arc<Node>,
    collectors: Vec<&'static dyn Collector>,
    process: Option<&Process>,
) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(build_info()?))?;
    registry.register(Box::new(Gather::new(Arc::clone(node), collectors)?))?;
    if let Some(process) = process {
        registry.register(Box::new(process.clone()))?;
    }
    Ok(registry)
}

fn build_info() -> prometheus::Result<Gauge> {
    let opts = Opts::new("mini_node_exporter_build_info", "What this exporter was built from; the value is always 1.")
        .const_label("version", build::VERSION)
        .const_label("revision", build::REVISION)
        .const_label("rustc", build::RUSTC);
    let gauge = Gauge::with_opts(opts)?;
    gauge.set(1.0);
    Ok(gauge)
}

fn render(registry: &Registry) -> prometheus::Result<String> {
    // A usual exposition fits, so that the text is not copied while it grows.
    let mut text = String::with_capacity(4096);
    TextEncoder::new().encode_utf8(&registry.gather(), &mut text)?;
    Ok(text)
}
