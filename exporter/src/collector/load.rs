//! `node_load`: the three load averages, one sample each.

use super::{Collector, Kind, Text};
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

    fn collect(&self, scrape: &Scrape<'_>, text: &mut Text) -> Result<(), Error> {
        let windows = scrape.read::<LoadAverage>()?.windows();
        let hostname = scrape.hostname()?;
        let help = "Average number of threads running, runnable or in uninterruptible sleep, over a duration.";
        let mut family = text.family(Kind::Gauge, "node_load", help);
        for (duration, load) in windows {
            family.sample(&[("hostname", hostname), ("duration", duration)], load);
        }
        Ok(())
    }
}
