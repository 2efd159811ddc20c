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
use crate::checks::report::{CheckReport, Outcome};
use crate::wait::interrupt;
use crate::wait::poll::{self, Attempt};

/// Prometheus acts on its first target list after up to 10 s and takes the first sample up to 6 s later; a busy machine
/// adds to that.
const FIRST_SAMPLE: Duration = Duration::from_secs(40);

/// A check: its stable name, and what it does.
struct Check {
    name: &'static str,
    run: fn(&dyn Backend) -> Outcome,
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

/// The stable names of all checks, in the order in which they are run.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.name)
}

/// Runs every check in order, telling each as soon as it is done; a failed one does not keep the next from being run.
/// An interrupt ends the series: a check that it cut short has seen nothing, and is not told.
pub fn run_all(backend: &dyn Backend, tell: impl Fn(&CheckReport)) -> Vec<CheckReport> {
    let reports = CHECKS.iter().map(|check| report(check, backend)).take_while(|_| !interrupt::seen());
    reports.inspect(|report| tell(report)).collect()
}

/// Runs the check of that name alone; nothing if there is none.
pub fn run_one(backend: &dyn Backend, name: &str) -> Option<CheckReport> {
    CHECKS.iter().find(|check| check.name == name).map(|check| report(check, backend))
}

fn report(check: &Check, backend: &dyn Backend) -> CheckReport {
    let began = Instant::now();
    let outcome = (check.run)(backend);
    CheckReport { name: check.name, outcome, seconds: began.elapsed().as_secs_f64() }
}

/// Polls until `look` succeeds; what it fails with is the observation. A part of the stack that ended ends the wait.
fn poll_stack<T>(backend: &dyn Backend, what: &str, limit: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    poll::until(what, backend.check_limit(limit), Duration::from_millis(100), || match look() {
        Ok(value) => Attempt::Ready(value),
        Err(seen) => match backend.alive() {
            Ok(()) => Attempt::NotYet(format!("{seen:#}")),
            Err(ended) => Attempt::Failed(ended),
        },
    })
}
