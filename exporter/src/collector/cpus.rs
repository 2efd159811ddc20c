//! `node_cpus`: the number of CPUs, to relate the load to. Off by default.

use prometheus::proto::MetricFamily;

use super::{Collector, gauge_family};
use crate::node::ReadSession;
use crate::procfs::{OnlineCpus, ProcFile, ReadError};

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

    fn collect(&self, session: &ReadSession<'_>) -> Result<Vec<MetricFamily>, ReadError> {
        let OnlineCpus(count) = session.read()?;
        let hostname = session.hostname()?;
        Ok(vec![gauge_family("node_cpus", "Number of online CPUs.", [([("hostname", hostname)], count.into())])])
    }
}
