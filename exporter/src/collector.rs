//! The collectors: one file each, and a table that the command line and the endpoints are built from.
//!
//! A new collector is a file with a type that implements [`Collector`], and a line in [`TABLE`].

mod cpus;
mod family;
mod load;
mod uptime;

use prometheus::proto::MetricFamily;

pub(crate) use family::{counter_family, gauge_family};

use crate::node::ReadSession;
use crate::procfs::ReadError;

/// Every collector there is, by name.
pub const TABLE: &[&dyn Collector] = &[&cpus::CpusCollector, &load::LoadCollector, &uptime::UptimeCollector];

/// Turns some of a node's files into metric families.
pub trait Collector: Send + Sync {
    /// The name of its two flags, and the value of the label `collector`.
    fn name(&self) -> &'static str;

    /// What it exposes, in a few words for `--help`.
    fn help(&self) -> &'static str;

    /// Whether it runs unless a flag says otherwise.
    fn enabled_by_default(&self) -> bool {
        true
    }

    /// Every file that it reads besides the hostname. They decide whether the node can be read without another thread.
    fn files(&self) -> &'static [&'static str];

    /// Reads all it needs and returns its families, each with at least one sample. Read the collector's own files before
    /// the hostname: readiness names the first bad one, and checks the hostname anyway.
    ///
    /// # Errors
    ///
    /// When anything it needs is bad. It then exposes nothing, so that no alert sees a false 0.
    fn collect(&self, session: &ReadSession<'_>) -> Result<Vec<MetricFamily>, ReadError>;
}

/// The collectors that run when no flag says otherwise.
#[must_use]
pub fn defaults() -> Vec<&'static dyn Collector> {
    TABLE.iter().copied().filter(|collector| collector.enabled_by_default()).collect()
}
