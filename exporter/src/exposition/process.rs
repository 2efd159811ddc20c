//! `process_*`: this very process, under the names that every Prometheus client library uses.
//!
//! Always from the kernel's own `/proc`, whatever tree describes the node.

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::boot_clock::BootClock;
use crate::collector::{Head, Text, head};
use crate::procfs::{ProcRoot, ProcessFds, ProcessStat};

const CPU: Head = head!(counter, "process_cpu_seconds_total", "User and system CPU time of this process in seconds.");
const START: Head =
    head!(gauge, "process_start_time_seconds", "Start time of this process in seconds since the Unix epoch.");
const RESIDENT: Head = head!(gauge, "process_resident_memory_bytes", "Resident memory of this process in bytes.");
const VIRTUAL: Head = head!(gauge, "process_virtual_memory_bytes", "Virtual memory of this process in bytes.");
const THREADS: Head = head!(gauge, "process_threads", "Number of threads of this process.");
const OPEN_FDS: Head = head!(gauge, "process_open_fds", "Number of open file descriptors of this process.");
const MAX_FDS: Head = head!(gauge, "process_max_fds", "Limit of open file descriptors of this process.");

pub(super) struct Process {
    root: ProcRoot,
    fds: ProcessFds,
    boot_clock: BootClock,
}

impl Process {
    pub(super) fn new() -> Self {
        let root = ProcRoot::default();
        Self { fds: ProcessFds::new(&root), root, boot_clock: BootClock::default() }
    }

    /// What cannot be read is left out.
    pub(super) fn collect(&self, text: &mut Text) {
        let mut write = |head, value| text.family(head).sample(&[], value);
        if let Ok(stat) = self.root.read::<ProcessStat>() {
            write(CPU, seconds(stat.cpu_ticks));
            if let Some(boot) = self.boot_clock.boot(&self.root) {
                write(START, float(boot) + seconds(stat.start_ticks));
            }
            write(RESIDENT, float(stat.resident_pages.saturating_mul(page_size() as u64)));
            write(VIRTUAL, float(stat.virtual_bytes));
            write(THREADS, float(stat.threads));
        }
        if let Ok(open) = self.fds.count() {
            write(OPEN_FDS, float(open));
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            write(MAX_FDS, float(limit));
        }
    }
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
#[allow(clippy::float_cmp)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn ticks_become_seconds() {
        let ticks = clock_ticks_per_second();
        assert_eq!([ticks, 5 * ticks / 2].map(seconds), [1.0, 2.5]);
        assert_eq!([0, 7].map(float), [0.0, 7.0]);
    }

    #[test]
    fn this_process_is_described() {
        let mut text = Text::new();
        Process::new().collect(&mut text);
        let text = text.finish();
        let value = |name: &str| -> f64 {
            let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            sample.unwrap_or_else(|| panic!("no {name} in:\n{text}")).parse().unwrap()
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - value("process_start_time_seconds");
        // The kernel cuts the boot time to whole seconds.
        assert!(age > -2.0 && age < Duration::from_secs(3600).as_secs_f64(), "{age} s old");
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
