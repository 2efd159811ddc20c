//! `node_load`: the three load averages, one sample each.

use prometheus::proto::MetricFamily;

use super::{Collector, gauge};
use crate::node::Scrape;
use crate::procfs::{Error, LoadAverage, ProcFile};

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

    fn collect(&self, scrape: &Scrape<'_>) -> Result<Vec<MetricFamily>, Error> {
        let windows = scrape.read::<LoadAverage>()?.windows();
        let hostname = scrape.hostname()?;
        let samples = windows.map(|(duration, load)| ([("hostname", hostname), ("duration", duration)], load));
        Ok(vec![gauge("node_load", HELP, samples)])
    }
}
