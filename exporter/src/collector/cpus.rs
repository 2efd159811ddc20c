//! `node_cpus`: the number of CPUs, to relate the load to. Off by default.

use prometheus::proto::MetricFamily;

use super::{Collector, gauge};
use crate::node::Scrape;
use crate::procfs::{Error, OnlineCpus, ProcFile};

pub(super) struct CpusCollector;

impl Collector for CpusCollector {
    fn name(&self) -> &'static str {
        "cpus"
    }

    fn help(&self) -> &'static str {
        "how many CPUs the node has"
    }

    fn enabled_by_default(&self) -> bool {
        false
    }

    fn files(&self) -> &'static [&'static str] {
        &[OnlineCpus::PATH]
    }

    fn collect(&self, scrape: &Scrape<'_>) -> Result<Vec<MetricFamily>, Error> {
        let OnlineCpus(count) = scrape.read()?;
        let hostname = scrape.hostname()?;
        Ok(vec![gauge("node_cpus", "Number of online CPUs.", [([("hostname", hostname)], count.into())])])
    }
}
