//! The checks: what must be true of every stack, whatever backend it runs on. Their names are stable.

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

use crate::backend::{self, Backend};
use crate::stack::Stack;
use crate::terminal::out;
use crate::wait::interrupt;
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
    Check { name: "exporter-ready", proves: "the exporters can read their files", run: targets::exporter_ready },
    Check {
        name: "targets-up",
        proves: "Prometheus has a target for every node and scrapes it successfully",
        run: targets::targets_up,
    },
    Check {
        name: "one-target-per-node",
        proves: "each node has exactly one target, and there are no others",
        run: targets::one_target_per_node,
    },
    Check {
        name: "node-labels",
        proves: "node, instance and hostname of every sample are the node's name, and no label changes at a roll-out",
        run: labels::node_labels,
    },
    Check { name: "uptime", proves: "node_uptime is the kernel's uptime and grows", run: uptime::uptime },
    Check {
        name: "load",
        proves: "node_load has the three values of the kernel's loadavg for each node",
        run: load::load,
    },
    Check {
        name: "rules-healthy",
        proves: "every shipped rule is loaded and evaluated without an error",
        run: rules::rules_healthy,
    },
    Check { name: "grafana-healthy", proves: "Grafana is up and its database is ok", run: grafana::grafana_healthy },
    Check { name: "datasource-healthy", proves: "Grafana reaches Prometheus", run: grafana::datasource_healthy },
    Check {
        name: "dashboard-loaded",
        proves: "Grafana has the dashboard as in its file",
        run: grafana::dashboard_loaded,
    },
    Check {
        name: "panels-have-data",
        proves: "every query of the dashboard returns samples, from Prometheus and through Grafana",
        run: panels::panels_have_data,
    },
];

/// A running stack, and the files that it is checked against.
#[derive(Clone, Copy)]
pub struct Subject<'s> {
    pub backend: &'s dyn Backend,
    pub shipped: &'s Shipped,
}

/// The stable names of all checks, in the order in which they are run.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.name)
}

/// Which checks are run; by default all.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only these; all if none is named.
    pub only: Vec<String>,
    /// All but these, which the report shows as omitted.
    pub skip: Vec<String>,
}

impl Choice {
    pub fn only(names: &[&str]) -> Self {
        Self { only: names.iter().map(ToString::to_string).collect(), skip: Vec::new() }
    }
}

/// Runs the chosen checks in order and passes on each report as soon as it is complete; a check that fails does not keep
/// the next from being run. An interrupt ends the series; the check that it cut short is not reported.
pub fn run(subject: Subject<'_>, choice: &Choice, mut report: impl FnMut(&CheckReport)) -> Vec<CheckReport> {
    let named = |names: &[String], check: &Check| names.iter().any(|name| name == check.name);
    let wanted = CHECKS.iter().filter(|check| choice.only.is_empty() || named(&choice.only, check));
    let omitted = |check: &Check| CheckReport { name: check.name, outcome: Outcome::Omitted, seconds: 0.0 };
    let reports = wanted.map(|check| if named(&choice.skip, check) { omitted(check) } else { check.run(subject) });
    reports.take_while(|_| !interrupt::seen()).inspect(|done| report(done)).collect()
}

impl Check {
    fn run(&self, subject: Subject<'_>) -> CheckReport {
        let began = Instant::now();
        let outcome = if subject.stack().nodes.is_empty() {
            Outcome::Failed { observed: "the stack has no nodes: nothing to check".to_owned() }
        } else {
            (self.run)(subject)
        };
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

    /// Polls until `attempt` succeeds.
    fn poll<T>(self, what: &str, limit: Duration, attempt: impl FnMut() -> Result<T>) -> Result<T> {
        backend::until(self.backend, what, self.backend.check_limit(limit), attempt)
    }
}

/// As many names as a line holds.
fn few(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    out::first(10, &names.into_iter().collect::<Vec<_>>())
}
