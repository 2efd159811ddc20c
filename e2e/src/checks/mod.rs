//! The checks: what has to be true of every stack, whatever backend it runs on. Their names are stable.

mod grafana;
mod labels;
mod load;
mod panels;
pub mod report;
mod rules;
mod targets;
mod uptime;

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::backend::Backend;
use crate::stack::Stack;
use crate::wait::interrupt;
use crate::wait::poll::{self, Attempt, Final};
use crate::workspace::shipped::Shipped;
use report::{CheckReport, Outcome};

/// Prometheus acts on its first target list after up to 10 s and takes the first sample up to 6 s later; a busy machine
/// adds to that.
const FIRST_SAMPLE: Duration = Duration::from_secs(40);

/// A check: its stable name, and what it does.
struct Check {
    name: &'static str,
    run: fn(Subject<'_>) -> Outcome,
}

const CHECKS: &[Check] = &[
    Check { name: "exporter-ready", run: targets::exporter_ready },
    Check { name: "targets-up", run: targets::targets_up },
    Check { name: "one-target-per-node", run: targets::one_target_per_node },
    Check { name: "node-labels", run: labels::node_labels },
    Check { name: "uptime", run: uptime::uptime },
    Check { name: "load", run: load::load },
    Check { name: "rules-healthy", run: rules::rules_healthy },
    Check { name: "grafana-healthy", run: grafana::grafana_healthy },
    Check { name: "datasource-healthy", run: grafana::datasource_healthy },
    Check { name: "dashboard-loaded", run: grafana::dashboard_loaded },
    Check { name: "panels-have-data", run: panels::panels_have_data },
];

/// What is checked, and what it is held against.
#[derive(Clone, Copy)]
pub struct Subject<'s> {
    pub backend: &'s dyn Backend,
    pub shipped: &'s Shipped,
}

/// The stable names of all checks, in the order in which they are run.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.name)
}

/// Runs every check in order, and hands over each report as soon as it is there; a check that fails does not keep the
/// next from being run. An interrupt ends the series: a check that it cut short has seen nothing, and is not reported.
pub fn run_all(subject: Subject<'_>, report: impl Fn(&CheckReport)) -> Vec<CheckReport> {
    let reports = CHECKS.iter().map(|check| check.run(subject)).take_while(|_| !interrupt::seen());
    reports.inspect(|done| report(done)).collect()
}

/// Runs only the check of that name; nothing if there is none.
pub fn run_one(subject: Subject<'_>, name: &str) -> Option<CheckReport> {
    CHECKS.iter().find(|check| check.name == name).map(|check| check.run(subject))
}

impl Check {
    fn run(&self, subject: Subject<'_>) -> CheckReport {
        let began = Instant::now();
        let outcome = (self.run)(subject);
        CheckReport { name: self.name, outcome, seconds: began.elapsed().as_secs_f64() }
    }
}

impl<'s> Subject<'s> {
    fn stack(self) -> &'s Stack {
        self.backend.stack()
    }

    /// Polls until `look` succeeds; what it fails with is the observation. What cannot change, and a part of the stack
    /// that ended, end the wait.
    fn poll<T>(self, what: &str, limit: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
        poll::until(what, self.backend.check_limit(limit), Duration::from_millis(100), || match look() {
            Ok(value) => Attempt::Ready(value),
            Err(seen) if seen.is::<Final>() => Attempt::Failed(seen),
            Err(seen) => match self.backend.alive() {
                Ok(()) => Attempt::NotYet(format!("{seen:#}")),
                Err(ended) => Attempt::Failed(ended),
            },
        })
    }
}

/// As many names as a line holds: the first ten, and the count of the rest.
fn few(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let shown = names.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(10) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}
