//! `process_*`: this very process, under the names that every Prometheus client library uses.
//!
//! Always from the kernel's own `/proc`, whatever tree describes the node.

use std::sync::Arc;

use prometheus::core::Desc;
use prometheus::proto::MetricFamily;

use super::start_time::StartTime;
use crate::collector::{Kind, family, sample};
use crate::procfs::{ProcRoot, ProcessStat, open_fds};

/// Clones share what they remember.
#[derive(Clone)]
pub(super) struct Process {
    root: ProcRoot,
    start_time: Arc<StartTime>,
    desc: Desc,
}

impl Process {
    pub(super) fn new() -> prometheus::Result<Self> {
        let (name, help) = ("process_cpu_seconds_total".into(), CPU_HELP.into());
        let desc = Desc::new(name, help, Vec::new(), std::collections::HashMap::new())?;
        Ok(Self { root: ProcRoot::default(), start_time: Arc::default(), desc })
    }
}

const CPU_HELP: &str = "User and system CPU time of this process in seconds.";

impl prometheus::core::Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    /// What cannot be read is left out.
    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::with_capacity(7);
        let mut gauge = |name, help, value| {
            families.push(family(Kind::Gauge, name, help, vec![sample(Kind::Gauge, &[], value)]));
        };
        if let Ok(open) = open_fds(&self.root) {
            gauge("process_open_fds", "Number of open file descriptors of this process.", float(open));
        }
        if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            gauge("process_max_fds", "Limit of open file descriptors of this process.", float(limit));
        }
        let Ok(stat) = self.root.read::<ProcessStat>() else { return families };
        let resident = stat.resident_pages.saturating_mul(rustix::param::page_size() as u64);
        gauge("process_resident_memory_bytes", "Resident memory of this process in bytes.", float(resident));
        let size = float(stat.virtual_bytes);
        gauge("process_virtual_memory_bytes", "Virtual memory of this process in bytes.", size);
        gauge("process_threads", "Number of threads of this process.", float(stat.threads));
        let help = "Start time of this process in seconds since the Unix epoch.";
        gauge("process_start_time_seconds", help, self.start_time.of(ticks(stat.start_ticks)));
        let cpu = sample(Kind::Counter, &[], ticks(stat.cpu_ticks));
        families.push(family(Kind::Counter, "process_cpu_seconds_total", CPU_HELP, vec![cpu]));
        families
    }
}

fn ticks(count: u64) -> f64 {
    float(count) / float(rustix::param::clock_ticks_per_second())
}

/// Samples are floats; what is counted here stays far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}
