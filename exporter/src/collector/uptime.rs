//! `node_uptime`: how long the node has been up, as a metric of its own.

use prometheus::proto::MetricFamily;

use super::{Collector, gauge};
use crate::node::Scrape;
use crate::procfs::{self, Error, ProcFile};

pub(super) struct UptimeCollector;

impl Collector for UptimeCollector {
    fn name(&self) -> &'static str {
        "uptime"
    }

    fn help(&self) -> &'static str {
        "how long the node has been up"
    }

    fn files(&self) -> &'static [&'static str] {
        &[procfs::Uptime::PATH]
    }

    fn collect(&self, scrape: &Scrape<'_>) -> Result<Vec<MetricFamily>, Error> {
        let uptime = scrape.read::<procfs::Uptime>()?;
        let hostname = scrape.hostname()?;
        let sample = ([("hostname", hostname)], uptime.seconds);
        Ok(vec![gauge("node_uptime", "Seconds since the node booted.", [sample])])
    }
}
