//! The checks: what has to be true of every stack, whatever backend it runs on. Their names are stable.

mod grafana;
mod labels;
mod load;
mod panels;
pub mod report;
mod rules;
mod targets;
#[cfg(test)]
mod tests;
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

/// A check.
pub struct Check {
    /// Stable.
    pub name: &'static str,
    /// What is true when it passes, in a sentence.
    pub proves: &'static str,
    run: fn(Subject<'_>) -> Outcome,
}

/// All checks, in the order in which they are run.
pub const CHECKS: &[Check] = &[
    Check { name: "exporter-ready", proves: "the exporters can read what they need", run: targets::exporter_ready },
    Check {
        name: "targets-up",
        proves: "Prometheus has a target for every node, and scrapes it with success",
        run: targets::targets_up,
    },
    Check {
        name: "one-target-per-node",
        proves: "each node has exactly one target, and no target belongs to none",
        run: targets::one_target_per_node,
    },
    Check {
        name: "node-labels",
        proves: "node, instance and hostname of every sample are the node's name, and no label ends a series at a roll-out",
        run: labels::node_labels,
    },
    Check { name: "uptime", proves: "node_uptime is the kernel's uptime, and grows", run: uptime::uptime },
    Check {
        name: "load",
        proves: "node_load has three durations for each node, with the values of the kernel's loadavg",
        run: load::load,
    },
    Check {
        name: "rules-healthy",
        proves: "every rule that ships is loaded, and was evaluated without an error",
        run: rules::rules_healthy,
    },
    Check { name: "grafana-healthy", proves: "Grafana answers and has its database", run: grafana::grafana_healthy },
    Check { name: "datasource-healthy", proves: "Grafana reaches Prometheus", run: grafana::datasource_healthy },
    Check {
        name: "dashboard-loaded",
        proves: "Grafana holds the dashboard as it is in the file",
        run: grafana::dashboard_loaded,
    },
    Check {
        name: "panels-have-data",
        proves: "every query of the dashboard gives samples, from Prometheus and through Grafana",
        run: panels::panels_have_data,
    },
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

/// Which checks are run.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only these; all if none is named.
    pub only: Vec<String>,
    /// All but these, which the report shows as left out.
    pub skip: Vec<String>,
}

/// Runs every check in order, and hands over each report as soon as it is there; a check that fails does not keep the
/// next from being run. An interrupt ends the series: a check that it cut short has seen nothing, and is not reported.
pub fn run_all(subject: Subject<'_>, report: impl FnMut(&CheckReport)) -> Vec<CheckReport> {
    run(subject, &Choice::default(), report)
}

/// As [`run_all`], for the checks that are chosen.
pub fn run(subject: Subject<'_>, choice: &Choice, mut report: impl FnMut(&CheckReport)) -> Vec<CheckReport> {
    let named = |names: &[String], check: &Check| names.iter().any(|name| name == check.name);
    let wanted = CHECKS.iter().filter(|check| choice.only.is_empty() || named(&choice.only, check));
    let left_out = |check: &Check| CheckReport { name: check.name, outcome: Outcome::LeftOut, seconds: 0.0 };
    let reports = wanted.map(|check| if named(&choice.skip, check) { left_out(check) } else { check.run(subject) });
    reports.take_while(|_| !interrupt::seen()).inspect(|done| report(done)).collect()
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

    /// The uid of the data source through which Grafana is asked.
    fn datasource(self) -> Result<String> {
        self.stack().datasource.clone().map_or_else(|| self.shipped.datasource(), Ok)
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
