//! The report of `lab check`, as text and as JSON, and the exit code that follows from it.

use anyhow::Result;
use serde::Serialize;

use crate::terminal::exit::Exit;
use crate::terminal::out::Mark;

/// What a check came to.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds; what was seen.
    Passed {
        /// In one line.
        observed: String,
        /// One line each, where a check looks at many things.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        details: Vec<String>,
    },
    /// It does not hold; what was seen last.
    Failed {
        /// The whole error.
        observed: String,
    },
    /// It was not run, and nobody had asked for that.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It was not run, as asked with `--without`.
    LeftOut,
}

impl From<Result<String>> for Outcome {
    fn from(result: Result<String>) -> Self {
        match result {
            Ok(observed) => Self::Passed { observed, details: Vec::new() },
            Err(error) => Self::Failed { observed: format!("{error:#}") },
        }
    }
}

/// One check's line in the report.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Its stable name.
    pub name: &'static str,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
}

impl CheckReport {
    /// The line of a check, and one below it for each detail.
    pub fn text(&self) -> String {
        let (mark, text, details) = match &self.outcome {
            Outcome::Passed { observed, details } => (Mark::Pass, observed.as_str(), details.as_slice()),
            Outcome::Failed { observed } => (Mark::Fail, observed.as_str(), &[][..]),
            Outcome::Skipped { reason } => (Mark::Skip, reason.as_str(), &[][..]),
            Outcome::LeftOut => (Mark::None, "left out, as asked with `--without`", &[][..]),
        };
        let mut lines = format!("{mark} {:<20} {:>5.1} s  {text}", self.name, self.seconds);
        for detail in details {
            lines.push_str("\n       ");
            lines.push_str(detail);
        }
        lines
    }
}

/// Everything that `lab check` found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `local` or `kind`.
    pub backend: &'static str,
    /// The steps that stood the stack up, and the seconds each took.
    pub steps: Vec<(String, f64)>,
    /// The checks, in the order they were run.
    pub checks: Vec<CheckReport>,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line a check, as soon as it is done.
    #[default]
    Text,
    /// One JSON document at the end.
    Json,
}

impl Report {
    /// Failed if a check failed, skipped if one was skipped unasked.
    pub fn exit(&self) -> Exit {
        let any = |wanted: fn(&Outcome) -> bool| self.checks.iter().any(|check| wanted(&check.outcome));
        if any(|outcome| matches!(outcome, Outcome::Failed { .. })) {
            Exit::Failed
        } else if any(|outcome| matches!(outcome, Outcome::Skipped { .. })) {
            Exit::Skipped
        } else {
            Exit::Ok
        }
    }

    /// How many checks came to what, and how long everything took.
    pub fn summary(&self) -> String {
        let count = |wanted: fn(&Outcome) -> bool| self.checks.iter().filter(|check| wanted(&check.outcome)).count();
        let start: f64 = self.steps.iter().map(|(_, seconds)| seconds).sum();
        let checks: f64 = self.checks.iter().map(|check| check.seconds).sum();
        format!(
            "{} passed, {} failed, {} skipped, {} left out; start {start:.1} s, checks {checks:.1} s",
            count(|outcome| matches!(outcome, Outcome::Passed { .. })),
            count(|outcome| matches!(outcome, Outcome::Failed { .. })),
            count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
            count(|outcome| matches!(outcome, Outcome::LeftOut)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: Vec<Outcome>) -> Report {
        let checks = outcomes.into_iter().map(|outcome| CheckReport { name: "load", outcome, seconds: 0.5 }).collect();
        Report { backend: "local", steps: Vec::new(), checks }
    }

    #[test]
    fn the_exit_is_the_worst_of_the_outcomes() {
        let passed = || Outcome::Passed { observed: String::new(), details: Vec::new() };
        let failed = || Outcome::Failed { observed: String::new() };
        let skipped = || Outcome::Skipped { reason: String::new() };
        assert_eq!(report(vec![passed(), Outcome::LeftOut]).exit(), Exit::Ok);
        assert_eq!(report(vec![passed(), skipped()]).exit(), Exit::Skipped);
        assert_eq!(report(vec![skipped(), failed(), passed()]).exit(), Exit::Failed);
    }

    #[test]
    fn the_json_names_check_outcome_and_observation() {
        let json = serde_json::to_string(&report(vec![Outcome::Failed { observed: "x".into() }])).unwrap();
        assert_eq!(
            json,
            r#"{"backend":"local","steps":[],"checks":[{"name":"load","outcome":"failed","observed":"x","seconds":0.5}]}"#
        );
    }
}
