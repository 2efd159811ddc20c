//! `node_load`: the three load averages, one sample each.

use super::{Collector, Head, Text, head};
use crate::node::Scrape;
use crate::procfs::{Error, LoadAverage};

pub(super) struct Load;

const LOAD: Head = head!(
    gauge,
    "node_load",
    "Average number of threads running, runnable or in uninterruptible sleep, over a duration."
);

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
        let mut family = text.family(LOAD);
        for (duration, load) in windows {
            family.sample(&[("hostname", hostname), ("duration", duration)], load);
        }
        Ok(())
    }
}
