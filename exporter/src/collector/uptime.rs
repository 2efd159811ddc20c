//! `node_uptime`: how long the node has been up, as a metric of its own.

use prometheus::proto::MetricFamily;

use super::{Collector, gauge_family};
use crate::node::ReadSession;
use crate::procfs::{self, ProcFile, ReadError};

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

    fn collect(&self, session: &ReadSession<'_>) -> Result<Vec<MetricFamily>, ReadError> {
        let uptime = session.read::<procfs::Uptime>()?;
        let hostname = session.hostname()?;
        let sample = ([("hostname", hostname)], uptime.seconds);
        Ok(vec![gauge_family("node_uptime", "Seconds since the node booted.", [sample])])
    }
}
