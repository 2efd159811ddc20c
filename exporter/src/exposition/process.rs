//! `process_*`: this very process, under the names of Prometheus' client libraries.
//!
//! Always from the kernel's own `/proc`, whatever tree describes the node.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use prometheus::proto::MetricFamily;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use rustix::system::sysinfo;

use crate::collector::{counter_family, gauge_family};
use crate::procfs::{ProcRoot, ProcessStat, open_fds};
use crate::sync::lock;

pub(super) struct ProcessMetrics {
    /// The kernel's own tree, which keeps its descriptors from one scrape to the next.
    root: ProcRoot,
    began: Instant,
    /// When the node booted, in seconds since the Unix epoch, and when this process began, both by the same wall clock.
    boot: Mutex<Option<(f64, SystemTime)>>,
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        Self { root: ProcRoot::default(), began: Instant::now(), boot: Mutex::default() }
    }
}

impl ProcessMetrics {
    /// Adds the families of what can be read.
    pub(super) fn collect(&self, families: &mut Vec<MetricFamily>) {
        if let Ok(stat) = self.root.read::<ProcessStat>() {
            let help = "User and system CPU time of this process in seconds.";
            families.push(counter_family("process_cpu_seconds_total", help, seconds(stat.cpu_ticks)));
            if let Some(boot) = self.boot() {
                let help = "Start time of this process in seconds since the Unix epoch.";
                families.push(value("process_start_time_seconds", help, boot + seconds(stat.start_ticks)));
            }
            let resident = stat.resident_pages.saturating_mul(page_size() as u64);
            families.extend([
                value("process_resident_memory_bytes", "Resident memory of this process in bytes.", float(resident)),
                value(
                    "process_virtual_memory_bytes",
                    "Virtual memory of this process in bytes.",
                    float(stat.virtual_bytes),
                ),
                value("process_threads", "Number of threads of this process.", float(stat.threads)),
            ]);
        }
        if let Ok(open) = open_fds() {
            families.push(value("process_open_fds", "Number of open file descriptors of this process.", float(open)));
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            let help = "Limit of open file descriptors of this process.";
            families.push(value("process_max_fds", help, float(limit)));
        }
    }

    /// Computes it again when the wall clock was set: a node without a battery is in 1970 until it has asked the time.
    /// `/proc/uptime` is not read, because lxcfs may cover it: it then counts from the container's start, and may hang.
    fn boot(&self) -> Option<f64> {
        let now = SystemTime::now();
        let began = now.checked_sub(self.began.elapsed())?;
        let is_current =
            |known: SystemTime| known.duration_since(began).unwrap_or_else(|error| error.duration()).as_secs() == 0;
        let mut boot = lock(&self.boot);
        if boot.is_none_or(|(_, known)| !is_current(known)) {
            let up = Duration::from_secs(u64::try_from(sysinfo().uptime).ok()?);
            let seconds = float(now.checked_sub(up)?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs());
            *boot = Some((seconds, began));
        }
        boot.map(|(seconds, _)| seconds)
    }
}

fn value(name: &str, help: &str, value: f64) -> MetricFamily {
    gauge_family(name, help, [([], value)])
}

fn seconds(ticks: u64) -> f64 {
    float(ticks) / float(clock_ticks_per_second())
}

/// Samples are floats; what is counted here stays far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_described() {
        let mut families = Vec::new();
        ProcessMetrics::default().collect(&mut families);
        let value = |name: &str| -> f64 {
            let family = families.iter().find(|family| family.name() == name);
            let metric = &family.unwrap_or_else(|| panic!("no {name} in {families:?}")).get_metric()[0];
            metric.get_gauge().get_value() + metric.get_counter().get_value()
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - value("process_start_time_seconds");
        // The boot time is cut to whole seconds.
        assert!(age > -2.0 && age < 3600.0, "{age} s old");
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }

    #[test]
    fn the_boot_time_is_the_kernels_also_after_the_clock_was_set() {
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        let kernels: f64 = stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok()).unwrap();
        let process = ProcessMetrics::default();
        assert!((process.boot().unwrap() - kernels).abs() <= 1.0);
        *process.boot.lock().unwrap() = Some((1.0, SystemTime::UNIX_EPOCH));
        assert!((process.boot().unwrap() - kernels).abs() <= 1.0);
    }
}
