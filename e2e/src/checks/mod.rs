//! The checks: what must be true of a stack, whatever backend it runs on. Their names are stable.

mod alertmanager;
mod exposition;
mod grafana;
mod labels;
mod load;
mod panels;
pub mod report;
mod restart;
mod rules;
mod series;
mod targets;
#[cfg(test)]
mod tests;
mod uptime;
mod windows;

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::backend::{self, Backend};
use crate::stack::Stack;
use crate::terminal::out;
use crate::wait::interrupt;
use crate::workspace::project::Project;
use report::{CheckReport, Outcome};

/// Prometheus acts on its first target list after up to 10 s and takes the first sample up to 6 s later; a busy machine
/// adds to that.
const FIRST_SAMPLE: Duration = Duration::from_secs(40);

/// The outcome of a check of dashboards where none was named.
const NO_DASHBOARD: Outcome = Outcome::Omitted { reason: "no dashboard; name some with `--dashboards`" };

/// The outcome of a check of rules where none was named.
const NO_RULES: Outcome = Outcome::Omitted { reason: "no rules; name some with `--rules`" };

/// A check.
pub struct Check {
    /// Stable.
    pub name: &'static str,
    pub of: Of,
    /// What is true when it passes, in a sentence.
    pub proves: &'static str,
    run: fn(Subject<'_>) -> Outcome,
}

/// Whose targets a check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Any exporter's.
    Any,
    /// Those of this repository's exporter: it reads their metrics and labels.
    Ours,
}

/// All checks, in the order in which they are run.
pub const CHECKS: &[Check] = &[
    Check {
        name: "exporter-ready",
        of: Of::Ours,
        proves: "the exporters can read their files",
        run: targets::exporter_ready,
    },
    Check {
        name: "targets-up",
        of: Of::Any,
        proves: "Prometheus has every target and scrapes it successfully",
        run: targets::targets_up,
    },
    Check {
        name: "exposition-lints",
        of: Of::Any,
        proves: "promtool has nothing to say about what each target exposes, and no scrape takes half of its timeout",
        run: exposition::exposition_lints,
    },
    Check {
        name: "one-target-per-node",
        of: Of::Ours,
        proves: "each node has exactly one target, and there are no others",
        run: targets::one_target_per_node,
    },
    Check {
        name: "node-labels",
        of: Of::Ours,
        proves: "node, instance and hostname of every sample are the node's name, and no label changes at a roll-out",
        run: labels::node_labels,
    },
    Check { name: "uptime", of: Of::Ours, proves: "node_uptime is the kernel's uptime and grows", run: uptime::uptime },
    Check {
        name: "load",
        of: Of::Ours,
        proves: "node_load has the three values of the kernel's loadavg for each node",
        run: load::load,
    },
    Check {
        name: "rules-healthy",
        of: Of::Any,
        proves: "every rule is loaded and evaluated without an error",
        run: rules::rules_healthy,
    },
    Check {
        name: "rules-find-series",
        of: Of::Any,
        proves: "every selector in every rule finds a series, or is excused by a comment for pint",
        run: series::rules_find_series,
    },
    Check {
        name: "alertmanager-ready",
        of: Of::Any,
        proves: "Alertmanager is up and takes alerts",
        run: alertmanager::alertmanager_ready,
    },
    Check {
        name: "alertmanagers-known",
        of: Of::Any,
        proves: "Prometheus sends its alerts to an Alertmanager",
        run: alertmanager::alertmanagers_known,
    },
    Check {
        name: "alerts-delivered",
        of: Of::Any,
        proves: "a synthetic alert reaches its receiver, and NodesDown and Absent inhibit the alerts that they explain",
        run: alertmanager::alerts_delivered,
    },
    Check {
        name: "grafana-healthy",
        of: Of::Any,
        proves: "Grafana is up and its database is ok",
        run: grafana::grafana_healthy,
    },
    Check {
        name: "datasource-healthy",
        of: Of::Any,
        proves: "Grafana reaches Prometheus",
        run: grafana::datasource_healthy,
    },
    Check {
        name: "dashboard-loaded",
        of: Of::Any,
        proves: "Grafana has the dashboard as in its file",
        run: grafana::dashboard_loaded,
    },
    Check {
        name: "panels-have-data",
        of: Of::Any,
        proves: "every query of the dashboard returns samples, from Prometheus and through Grafana",
        run: panels::panels_have_data,
    },
    Check {
        name: "windows-fit",
        of: Of::Any,
        proves: "every range of rate and its kin holds two samples, and Grafana knows the scrape interval",
        run: windows::windows_fit,
    },
    Check {
        name: "labels-stable",
        of: Of::Any,
        proves: "no series changes its labels when the program of --command is restarted",
        run: restart::labels_stable,
    },
];

/// A running stack, and what it is checked against.
#[derive(Clone, Copy)]
pub struct Subject<'s> {
    pub backend: &'s dyn Backend,
    pub project: &'s Project,
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

    /// Fails for a check that was named and cannot be run on another exporter's targets.
    pub fn expect_possible(&self, is_ours: bool) -> Result<(), String> {
        let possible = |name: &&String| CHECKS.iter().any(|check| check.name == **name && check.is_possible(is_ours));
        match self.only.iter().find(|name| !possible(name)) {
            Some(name) => Err(format!(
                "the check `{name}` is for targets of mini-node-exporter, and these are another program's; `lab check --list` \
                 lists the checks for any"
            )),
            None => Ok(()),
        }
    }
}

/// Runs the chosen checks that are for this stack in order and passes on each report as soon as it is complete; a check
/// that fails does not keep the next from being run. An interrupt ends the series; the check that it cut short is not
/// reported.
pub fn run(subject: Subject<'_>, choice: &Choice, mut report: impl FnMut(&CheckReport)) -> Vec<CheckReport> {
    let named = |names: &[String], check: &Check| names.iter().any(|name| name == check.name);
    let possible = CHECKS.iter().filter(|check| check.is_possible(subject.stack().is_ours()));
    let wanted = possible.filter(|check| choice.only.is_empty() || named(&choice.only, check));
    let omitted = |check: &Check| CheckReport { name: check.name, outcome: Outcome::excluded(), seconds: 0.0 };
    let reports = wanted.map(|check| if named(&choice.skip, check) { omitted(check) } else { check.run(subject) });
    reports.take_while(|_| !interrupt::seen()).inspect(|done| report(done)).collect()
}

impl Check {
    fn is_possible(&self, is_ours: bool) -> bool {
        is_ours || self.of == Of::Any
    }

    fn run(&self, subject: Subject<'_>) -> CheckReport {
        let began = Instant::now();
        let stack = subject.stack();
        let outcome = if stack.is_ours() && stack.names().is_empty() {
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
        self.stack().datasource.clone().map_or_else(|| self.project.datasource(), Ok)
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
