//! The collectors: one file each, and a table that the command line and the endpoints are built from.
//!
//! A new collector is a file with a type that implements [`Collector`], and a line in [`TABLE`].

mod cpus;
mod load;
mod text;
mod uptime;

pub(crate) use text::head;
pub use text::{Family, Head, Text};

use crate::node::Scrape;
use crate::procfs::Error;

/// Every collector there is, by name.
pub const TABLE: &[&dyn Collector] = &[&cpus::Cpus, &load::Load, &uptime::Uptime];

/// Turns some of a node's files into samples.
pub trait Collector: Send + Sync {
    /// The name of its two flags, and the value of the label `collector`.
    fn name(&self) -> &'static str;

    /// What it exposes, in a few words for `--help`.
    fn help(&self) -> &'static str;

    /// Whether it runs unless a flag says otherwise.
    fn enabled_by_default(&self) -> bool {
        true
    }

    /// Reads all it needs, then writes. Read the collector's own files before the hostname: readiness names the first
    /// bad one, and looks at the hostname anyway.
    ///
    /// # Errors
    ///
    /// When anything it needs is bad. It then exposes nothing at all, for what it has written is taken back: a false 0
    /// is a lie that no alert sees.
    fn collect(&self, scrape: &Scrape<'_>, text: &mut Text) -> Result<(), Error>;
}

/// The collectors that run when no flag says otherwise.
#[must_use]
pub fn defaults() -> Vec<&'static dyn Collector> {
    TABLE.iter().copied().filter(|collector| collector.enabled_by_default()).collect()
}
