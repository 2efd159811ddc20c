//! `node_uptime`: how long the node has been up, as a metric of its own.

use super::{Collector, Head, Text, head};
use crate::node::Scrape;
use crate::procfs::{self, Error};

pub(super) struct Uptime;

const UPTIME: Head = head!(gauge, "node_uptime", "Seconds since the node booted.");

impl Collector for Uptime {
    fn name(&self) -> &'static str {
        "uptime"
    }

    fn help(&self) -> &'static str {
        "how long the node has been up"
    }

    fn collect(&self, scrape: &Scrape<'_>, text: &mut Text) -> Result<(), Error> {
        let uptime = scrape.read::<procfs::Uptime>()?;
        let hostname = scrape.hostname()?;
        text.family(UPTIME).sample(&[("hostname", hostname)], uptime.seconds);
        Ok(())
    }
}
