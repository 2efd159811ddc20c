//! `node_load`: the three load averages, one sample each.

use prometheus::proto::MetricFamily;

use super::{Collector, Kind, family, sample};
use crate::node::Scrape;
use crate::procfs::{Error, LoadAverage};

pub(super) struct Load;

impl Collector for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn help(&self) -> &'static str {
        "the node's load averages"
    }

    fn collect(&self, scrape: &Scrape<'_>) -> Result<Vec<MetricFamily>, Error> {
        let windows = scrape.read::<LoadAverage>()?.windows();
        let hostname = scrape.hostname()?;
        let samples = windows
            .iter()
            .map(|&(duration, load)| sample(Kind::Gauge, &[("hostname", hostname), ("duration", duration)], load))
            .collect();
        let help = "Average number of threads running, runnable or in uninterruptible sleep, over a duration.";
        Ok(vec![family(Kind::Gauge, "node_load", help, samples)])
    }
}
