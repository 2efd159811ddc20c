//! The report of `lab check`, as text and as JSON, and the exit code that follows from it.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::terminal::exit::Exit;
use crate::terminal::out::{self, Mark};
use crate::terminal::report::{Case, Verdict, junit};

/// The outcome of a check.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// What was seen.
    Passed {
        /// In one line.
        observed: String,
        /// One line each, for a check of many things.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        details: Vec<String>,
    },
    /// What was seen last.
    Failed {
        /// The whole error.
        observed: String,
    },
    /// It could not be run.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It was excluded on request, or there is nothing that it could check.
    Omitted {
        /// Why.
        reason: &'static str,
    },
}

impl Outcome {
    /// Of a check that was excluded on request.
    pub fn excluded() -> Self {
        Self::Omitted { reason: "excluded on request" }
    }
}

impl From<Result<String>> for Outcome {
    fn from(result: Result<String>) -> Self {
        result.map(|observed| (observed, Vec::new())).into()
    }
}

impl From<Result<(String, Vec<String>)>> for Outcome {
    fn from(result: Result<(String, Vec<String>)>) -> Self {
        match result {
            Ok((observed, details)) => Self::Passed {
                observed: out::plain(&observed),
                details: details.iter().map(|detail| out::plain(detail)).collect(),
            },
            Err(error) => Self::Failed { observed: out::plain(&format!("{error:#}")) },
        }
    }
}

/// One check's line in the report.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Its stable name.
    pub name: &'static str,
    /// Its outcome.
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
            Outcome::Omitted { reason } => (Mark::Omit, *reason, &[][..]),
        };
        let mut lines = self.line(mark, text);
        for detail in details {
            lines.push_str("\n       ");
            lines.push_str(detail);
        }
        lines
    }

    fn line(&self, mark: Mark, text: &str) -> String {
        format!("{mark} {:<20} {:>5.1} s  {text}", self.name, self.seconds)
    }

    fn case(&self) -> Case<'_> {
        let (verdict, text) = match &self.outcome {
            Outcome::Passed { observed, .. } => (Verdict::Passed, observed.as_str()),
            Outcome::Failed { observed } => {
                (Verdict::Failed(observed.lines().next().unwrap_or_default().to_owned()), observed.as_str())
            }
            Outcome::Skipped { reason } => (Verdict::Skipped(reason.clone()), reason.as_str()),
            Outcome::Omitted { reason } => (Verdict::Skipped((*reason).to_owned()), ""),
        };
        Case { name: self.name.to_owned(), class: "lab", seconds: self.seconds, verdict, text }
    }
}

/// Formats one check after the other; the reason of several skipped checks is given once.
#[derive(Debug, Default)]
pub struct Lines {
    /// Each reason, and the check that gave it first.
    reasons: Vec<(String, &'static str)>,
}

impl Lines {
    /// The lines of the next check.
    pub fn next(&mut self, check: &CheckReport) -> String {
        let Outcome::Skipped { reason } = &check.outcome else { return check.text() };
        if let Some((_, first)) = self.reasons.iter().find(|(given, _)| given == reason) {
            return check.line(Mark::Skip, &format!("same reason as {first}"));
        }
        self.reasons.push((reason.clone(), check.name));
        check.text()
    }
}

/// Everything that `lab check` found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `local`, `kind` or `existing`.
    pub backend: &'static str,
    /// The name and reference of each image that the parts ran from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<&'static str, String>,
    /// The steps that stood the stack up, and the seconds each took.
    pub steps: Vec<(String, f64)>,
    /// The checks, in the order they were run.
    pub checks: Vec<CheckReport>,
}

impl Report {
    /// Failed if a check failed, skipped if one was skipped unasked.
    pub fn exit(&self) -> Exit {
        let [_, failed, skipped, _] = self.counts();
        match (failed, skipped) {
            (1.., _) => Exit::Failed,
            (_, 1..) => Exit::Skipped,
            _ => Exit::Ok,
        }
    }

    /// The report as JSON.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// The report as JUnit XML: a suite of the backend's name, and a test case for each check.
    pub fn junit(&self) -> Result<String> {
        let images = self.images.iter().map(|(name, reference)| (format!("image.{name}"), reference.as_str()));
        let cases: Vec<_> = self.checks.iter().map(CheckReport::case).collect();
        junit("lab check", self.backend, &images.collect::<Vec<_>>(), &cases)
    }

    /// How many checks passed, failed, were skipped, and were omitted.
    fn counts(&self) -> [usize; 4] {
        let kinds: [fn(&Outcome) -> bool; 4] = [
            |outcome| matches!(outcome, Outcome::Passed { .. }),
            |outcome| matches!(outcome, Outcome::Failed { .. }),
            |outcome| matches!(outcome, Outcome::Skipped { .. }),
            |outcome| matches!(outcome, Outcome::Omitted { .. }),
        ];
        kinds.map(|is| self.checks.iter().filter(|check| is(&check.outcome)).count())
    }

    /// The number of checks by outcome, the times, and the images.
    pub fn summary(&self) -> String {
        let [passed, failed, skipped, omitted] = self.counts();
        // The sum of an empty list is -0.0, which would be printed with its sign.
        let start = 0.0 + self.steps.iter().map(|(_, seconds)| seconds).sum::<f64>();
        let checks = 0.0 + self.checks.iter().map(|check| check.seconds).sum::<f64>();
        let images = self.images.iter().map(|(name, reference)| format!("\nimage {name:<11} {reference}"));
        format!(
            "{passed} passed, {failed} failed, {skipped} skipped, {omitted} omitted; start {start:.1} s, checks {checks:.1} s{}",
            images.collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: Vec<Outcome>) -> Report {
        let checks = outcomes.into_iter().map(|outcome| CheckReport { name: "load", outcome, seconds: 0.5 }).collect();
        Report { backend: "local", images: BTreeMap::new(), steps: Vec::new(), checks }
    }

    /// A target's last error, say, comes from another program.
    #[test]
    fn no_control_character_gets_into_a_report() {
        let failed = Outcome::from(Err::<String, _>(anyhow::anyhow!("\u{1b}[31mred\u{1b}[0m\u{7} alert")));
        assert!(matches!(failed, Outcome::Failed { observed } if observed == "red alert"));
    }

    #[test]
    fn the_exit_is_the_worst_of_the_outcomes() {
        let passed = || Outcome::Passed { observed: String::new(), details: Vec::new() };
        let failed = || Outcome::Failed { observed: String::new() };
        let skipped = || Outcome::Skipped { reason: String::new() };
        assert_eq!(report(vec![passed(), Outcome::excluded()]).exit(), Exit::Ok);
        assert_eq!(report(vec![passed(), skipped()]).exit(), Exit::Skipped);
        assert_eq!(report(vec![skipped(), failed(), passed()]).exit(), Exit::Failed);
    }

    /// Every outcome once, in every form.
    #[test]
    fn each_format_shows_the_four_outcomes() {
        let passed = Outcome::Passed { observed: "1 of 1 up".into(), details: vec!["a: 1".into()] };
        let failed = Outcome::Failed { observed: "2 < 3".into() };
        let skipped = Outcome::Skipped { reason: "no Grafana".into() };
        let steps = vec![("start".into(), 1.5), ("find".into(), 0.5)];
        let report = Report { steps, ..report(vec![passed, failed, skipped, Outcome::excluded()]) };
        let lines: Vec<String> = report.checks.iter().map(CheckReport::text).collect();
        assert_eq!(
            anstream::adapter::strip_str(&lines.join("\n")).to_string(),
            "pass load                   0.5 s  1 of 1 up\n       a: 1\n\
             FAIL load                   0.5 s  2 < 3\n\
             skip load                   0.5 s  no Grafana\n\
             omit load                   0.5 s  excluded on request"
        );
        assert_eq!(report.summary(), "1 passed, 1 failed, 1 skipped, 1 omitted; start 2.0 s, checks 2.0 s");
        insta::assert_snapshot!(serde_json::to_string(&report.checks).unwrap().replace("},", "},\n"), @r#"
        [{"name":"load","outcome":"passed","observed":"1 of 1 up","details":["a: 1"],"seconds":0.5},
        {"name":"load","outcome":"failed","observed":"2 < 3","seconds":0.5},
        {"name":"load","outcome":"skipped","reason":"no Grafana","seconds":0.5},
        {"name":"load","outcome":"omitted","reason":"excluded on request","seconds":0.5}]
        "#);
        let junit = report.junit().unwrap();
        for part in [
            r#"<testsuite name="local" tests="4" errors="0" failures="1" skipped="2""#,
            r#"<failure message="2 &lt; 3"/>"#,
            r#"<skipped message="no Grafana"/>"#,
            r#"<testcase name="load" classname="lab" time="0.500">"#,
        ] {
            assert!(junit.contains(part), "no {part} in\n{junit}");
        }
    }

    #[test]
    fn a_reason_is_given_once() {
        let skipped = |reason: &str| Outcome::Skipped { reason: reason.into() };
        let report = report(vec![skipped("no Grafana"), skipped("no Grafana"), skipped("no Prometheus")]);
        let mut lines = Lines::default();
        let shown: Vec<String> = report.checks.iter().map(|check| lines.next(check)).collect();
        assert_eq!(
            anstream::adapter::strip_str(&shown.join("\n")).to_string(),
            "skip load                   0.5 s  no Grafana\n\
             skip load                   0.5 s  same reason as load\n\
             skip load                   0.5 s  no Prometheus"
        );
        // A machine reads each check by itself.
        assert_eq!(report.json().unwrap().matches("no Grafana").count(), 2);
    }

    #[test]
    fn the_images_are_named() {
        let images = BTreeMap::from([("grafana", "host/grafana:9".to_owned())]);
        let report = Report { images, ..report(Vec::new()) };
        let summary = report.summary();
        assert!(summary.ends_with("\nimage grafana     host/grafana:9"), "{summary}");
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains(r#""images":{"grafana":"host/grafana:9"}"#), "{json}");
        let junit = report.junit().unwrap();
        assert!(junit.contains(r#"<property name="image.grafana" value="host/grafana:9"/>"#), "{junit}");
    }
}
