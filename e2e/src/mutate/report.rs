//! The report of `lab mutate`, and the exit code that follows from it.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::terminal::exit::Exit;
use crate::terminal::out::{self, Mark};
use crate::terminal::report::{Case, Verdict, junit};

/// So much of a clause is shown in a line.
const SHOWN: usize = 160;

/// Every change that was tried.
#[derive(Debug, Serialize)]
pub struct Report {
    pub changes: Vec<Tried>,
}

/// A change, and what became of it.
#[derive(Debug, Serialize)]
pub struct Tried {
    pub file: String,
    /// Where the rule begins.
    pub line: u64,
    pub rule: String,
    pub kind: &'static str,
    pub change: String,
    pub clause: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// This test failed, first with this expectation.
    Noticed { test: String, failed: String },
    /// Every test passed.
    Unnoticed,
    /// Every test passed, for a reason that the rule file gives.
    Excused { reason: String },
    /// The rule file excuses it, and this test failed.
    Needless { test: String },
    /// The expression cannot be taken apart.
    Skipped { reason: String },
    /// An interrupt came first.
    Untried,
}

impl Tried {
    /// The line of a change that a person should read of.
    fn text(&self) -> Option<String> {
        let Self { file, line, rule, change, .. } = self;
        let (mark, said) = match &self.outcome {
            Outcome::Noticed { .. } | Outcome::Untried => return None,
            Outcome::Unnoticed => (Mark::Fail, format!("no test notices `{change}` in `{}`", self.shown_clause())),
            Outcome::Needless { test } => (Mark::Fail, format!("{test} notices `{change}`; remove the excuse")),
            Outcome::Excused { reason } => (Mark::Omit, format!("`{change}` is excused: {reason}")),
            Outcome::Skipped { reason } => (Mark::Skip, format!("the expression cannot be taken apart: {reason}")),
        };
        Some(format!("{mark} {file}:{line} {rule}: {said}"))
    }

    fn shown_clause(&self) -> String {
        let cut = self.clause.char_indices().nth(SHOWN);
        cut.map_or(self.clause.clone(), |(end, _)| format!("{}…", &self.clause[..end]))
    }

    fn case(&self) -> Case<'_> {
        let verdict = match &self.outcome {
            Outcome::Noticed { .. } => Verdict::Passed,
            Outcome::Unnoticed => Verdict::Failed("no test notices the change".into()),
            Outcome::Needless { test } => Verdict::Failed(format!("{test} notices the change; remove the excuse")),
            Outcome::Excused { reason } | Outcome::Skipped { reason } => Verdict::Skipped(reason.clone()),
            Outcome::Untried => Verdict::Skipped("interrupted".to_owned()),
        };
        let name = format!("{}: {}", self.rule, self.change);
        Case { name, class: &self.file, seconds: self.seconds, verdict, text: &self.clause }
    }
}

impl Report {
    /// Failed if no test notices a change or an excuse is not needed; skipped if an expression was not changed.
    pub fn exit(&self) -> Exit {
        let [_, unnoticed, _, needless, skipped, _] = self.counts();
        match (unnoticed + needless, skipped) {
            (1.., _) => Exit::Failed,
            (_, 1..) => Exit::Skipped,
            _ => Exit::Ok,
        }
    }

    /// What a person should read, and the score: the noticed ones among those that are not excused.
    pub fn text(&self, took: Duration) -> String {
        let mut lines: Vec<String> = self.changes.iter().filter_map(Tried::text).collect();
        let [noticed, unnoticed, excused, needless, skipped, untried] = self.counts();
        let (noticed, all) = (noticed + needless, noticed + needless + unnoticed);
        lines.push(format!(
            "{noticed} of {all} changes noticed ({} %), {excused} excused, {}{}; took {:.1} s",
            100 * noticed / all.max(1),
            out::count(skipped, "expression skipped", "expressions skipped"),
            if untried > 0 { format!(", {untried} not tried") } else { String::new() },
            took.as_secs_f64()
        ));
        lines.join("\n")
    }

    /// The report as JSON.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// The report as JUnit XML: a test case for each change.
    pub fn junit(&self) -> Result<String> {
        junit("lab mutate", "rules", &[], &self.changes.iter().map(Tried::case).collect::<Vec<_>>())
    }

    /// Whether every change was tried.
    pub fn is_complete(&self) -> bool {
        self.counts()[5] == 0
    }

    /// How many changes were noticed, unnoticed, excused, excused without need, skipped, and not tried.
    fn counts(&self) -> [usize; 6] {
        let kinds: [fn(&Outcome) -> bool; 6] = [
            |outcome| matches!(outcome, Outcome::Noticed { .. }),
            |outcome| matches!(outcome, Outcome::Unnoticed),
            |outcome| matches!(outcome, Outcome::Excused { .. }),
            |outcome| matches!(outcome, Outcome::Needless { .. }),
            |outcome| matches!(outcome, Outcome::Skipped { .. }),
            |outcome| matches!(outcome, Outcome::Untried),
        ];
        kinds.map(|is| self.changes.iter().filter(|change| is(&change.outcome)).count())
    }
}
