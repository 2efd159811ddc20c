//! A stack of the cluster for the checks, all of which run at the same time.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::backend::Backend;
use e2e::backend::kind::Kind;
use e2e::checks::report::{CheckReport, Outcome};
use e2e::checks::{self, Choice, Subject};
use e2e::run::Run;
use e2e::stack::Stack;
use e2e::wait::interrupt;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace::project::Project;

use crate::fault::Fault;

pub struct View<'k> {
    kind: &'k Kind,
    pub stack: Stack,
    limit: Option<Duration>,
}

/// How long a check may take that should fail: two scrapes, whatever the patience.
const FAILING: Duration = Duration::from_secs(4);

/// How long a fault may take to show in a new stack: discovery, first samples, first rules.
const SEEN: Duration = Duration::from_secs(60);

impl<'k> View<'k> {
    pub fn of(kind: &'k Kind, stack: Stack) -> Self {
        Self { kind, stack, limit: None }
    }

    /// Waits until exactly the checks of a fault fail. The reports of `before` stand in front of theirs.
    pub fn shows<Plant>(mut self, fault: &Fault<Plant>, before: impl Fn() -> Vec<CheckReport>) -> Result<()> {
        self.limit = Some(FAILING.div_f64(poll::patience()));
        poll::until("the fault seen", SEEN, Duration::from_millis(100), || match self.checks() {
            Ok(reports) => match fault.is_seen_in(&before().into_iter().chain(reports).collect::<Vec<_>>()) {
                Ok(()) => Attempt::Ready(()),
                Err(other) => Attempt::NotYet(other.to_string()),
            },
            Err(error) => Attempt::Failed(error),
        })
    }

    /// Returns the lines of the checks that do not pass.
    pub fn failures(&self) -> Result<Vec<String>> {
        let good = |report: &&CheckReport| matches!(report.outcome, Outcome::Passed { .. } | Outcome::Omitted { .. });
        Ok(self.checks()?.iter().filter(|report| !good(report)).map(CheckReport::text).collect())
    }

    /// Runs every check, all at the same time, so that their deadlines overlap.
    fn checks(&self) -> Result<Vec<CheckReport>> {
        let project = &Project::shipped()?;
        let run = |name| checks::run(Subject { backend: self, project }, &Choice::only(&[name]), |_| ()).pop();
        // Where no exporter can be asked, pods cannot be either: what answers at their addresses is another network.
        let names = checks::names().filter(|name| *name != "exposition-lints" || !self.stack.exporters.is_empty());
        let reports: Option<Vec<CheckReport>> = thread::scope(|scope| {
            let started: Vec<_> = names.map(|name| scope.spawn(move || run(name))).collect();
            started.into_iter().map(|check| check.join().ok().flatten()).collect()
        });
        interrupt::check()?;
        reports.context("a check panicked")
    }
}

impl Backend for View<'_> {
    fn name(&self) -> &'static str {
        "view"
    }

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn run(&self) -> &Run {
        self.kind.run()
    }

    fn alive(&self) -> Result<()> {
        self.kind.alive()
    }

    fn complaints(&self) -> Vec<String> {
        self.kind.complaints()
    }

    fn check_limit(&self, wanted: Duration) -> Duration {
        self.limit.map_or(wanted, |limit| wanted.min(limit))
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        self.kind.save_evidence()
    }
}
