//! `node_load`: the three load averages, one sample each.

use prometheus::proto::MetricFamily;

use super::{Collector, gauge_family};
use crate::node::ReadSession;
use crate::procfs::{LoadAverage, ProcFile, ReadError};

pub(super) struct LoadCollector;

const HELP: &str = "Average number of threads running, runnable or in uninterruptible sleep, over a duration.";

impl Collector for LoadCollector {
    fn name(&self) -> &'static str {
        "load"
    }

    fn help(&self) -> &'static str {
        "the node's load averages"
    }

    fn files(&self) -> &'static [&'static str] {
        &[LoadAverage::PATH]
    }

    fn collect(&self, session: &ReadSession<'_>) -> Result<Vec<MetricFamily>, ReadError> {
        let windows = session.read::<LoadAverage>()?.windows();
        let hostname = session.hostname()?;
        let samples = windows.map(|(duration, load)| ([("hostname", hostname), ("duration", duration)], load));
        Ok(vec![gauge_family("node_load", HELP, samples)])
    }
}
