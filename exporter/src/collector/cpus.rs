//! `node_cpus`: how many CPUs the node has, by which a load is high or not. Off by default.

use super::{Collector, Head, Text, head};
use crate::node::Scrape;
use crate::procfs::{Error, OnlineCpus};

pub(super) struct Cpus;

const CPUS: Head = head!(gauge, "node_cpus", "CPUs that are online.");

impl Collector for Cpus {
    fn name(&self) -> &'static str {
        "cpus"
    }

    fn help(&self) -> &'static str {
        "how many CPUs the node has"
    }

    fn enabled_by_default(&self) -> bool {
        false
    }

    fn collect(&self, scrape: &Scrape<'_>, text: &mut Text) -> Result<(), Error> {
        let OnlineCpus(count) = scrape.read()?;
        let hostname = scrape.hostname()?;
        text.family(CPUS).sample(&[("hostname", hostname)], count.into());
        Ok(())
    }
}
