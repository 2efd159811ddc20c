//! `node_uptime`: how long the node has been up, as a metric of its own.

use prometheus::proto::MetricFamily;

use super::{Collector, Kind, family, sample};
use crate::node::Scrape;
use crate::procfs::{self, Error};

pub(super) struct Uptime;

impl Collector for Uptime {
    fn name(&self) -> &'static str {
        "uptime"
    }

    fn help(&self) -> &'static str {
        "how long the node has been up"
    }

    fn collect(&self, scrape: &Scrape<'_>) -> Result<Vec<MetricFamily>, Error> {
        let uptime = scrape.read::<procfs::Uptime>()?;
        let uptime = sample(Kind::Gauge, &[("hostname", scrape.hostname()?)], uptime.seconds);
        Ok(vec![family(Kind::Gauge, "node_uptime", "Seconds since the node booted.", vec![uptime])])
    }
}
