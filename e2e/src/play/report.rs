//! The report of plays, and the exit code that follows from it.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::plan::Mode;
use super::real::{Finding, Kind};
use crate::terminal::exit::Exit;
use crate::terminal::out::{self, Mark};
use crate::terminal::report::{Case, Verdict as OfCase, junit};

/// What a judge says of a test group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Pass,
    Fail,
    /// It was played, and what was seen decides nothing.
    Inconclusive,
    /// It was not played.
    Refused,
}

/// A test group, and what both judges say of it.
#[derive(Debug, Serialize)]
pub struct Played {
    pub file: String,
    /// Where the group begins.
    pub line: u64,
    pub name: String,
    pub promtool: Verdict,
    pub live: Verdict,
    /// How fast it was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<u32>,
    /// How often.
    pub plays: usize,
    pub seconds: f64,
    /// What does not meet the expectations, or why nothing was decided.
    pub reasons: Vec<String>,
    /// In real mode: the same, with the offsets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What promtool said of a failure.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub promtool_said: String,
}

/// All plays.
#[derive(Debug)]
pub struct Report {
    pub mode: Mode,
    pub groups: Vec<Played>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Refused => "refused",
        })
    }
}

impl Played {
    /// Whether both judges agree; `None` where one of them has no verdict.
    pub fn agrees(&self) -> Option<bool> {
        matches!(self.live, Verdict::Pass | Verdict::Fail).then(|| self.live == self.promtool)
    }

    /// Its line: what both judges say.
    pub fn line(&self) -> String {
        let mark = match self.live {
            Verdict::Fail => Mark::Fail,
            _ if self.promtool == Verdict::Fail => Mark::Fail,
            Verdict::Pass => Mark::Pass,
            Verdict::Inconclusive | Verdict::Refused => Mark::Skip,
        };
        let how = self.speed.map_or_else(String::new, |speed| format!(" at speed {speed}"));
        let line = format!(
            "{mark} {}: promtool: {}, live: {}{how}  {:.1} s",
            self.label(),
            self.promtool,
            self.live,
            self.seconds
        );
        let reasons = self.reasons.iter().map(|reason| format!("\n       {}", out::plain(reason)));
        std::iter::once(line).chain(reasons).collect()
    }

    fn label(&self) -> String {
        let place = format!("{}:{}", self.file, self.line);
        if self.name.is_empty() { place } else { format!("{place} {}", self.name) }
    }

    fn case<'a>(&'a self, text: &'a str) -> Case<'a> {
        let reason = || if self.reasons.is_empty() { self.promtool_said.clone() } else { self.reasons.join("; ") };
        let verdict = match (self.live, self.promtool) {
            (Verdict::Pass, Verdict::Pass) => OfCase::Passed,
            (Verdict::Inconclusive | Verdict::Refused, Verdict::Pass) => {
                OfCase::Skipped(format!("{}: {}", self.live, reason()))
            }
            (live, promtool) => OfCase::Failed(format!("promtool: {promtool}, live: {live}: {}", reason())),
        };
        Case { name: self.label(), class: &self.file, seconds: self.seconds, verdict, text }
    }
}

impl Report {
    /// Failed if a judge failed a group; skipped if a group has no verdict.
    pub fn exit(&self) -> Exit {
        let any = |is: fn(&Played) -> bool| self.groups.iter().any(is);
        match () {
            () if any(|it| it.live == Verdict::Fail || it.promtool == Verdict::Fail) => Exit::Failed,
            () if any(|it| it.live != Verdict::Pass) => Exit::Skipped,
            () => Exit::Ok,
        }
    }

    /// How many groups there are of each verdict, and how many of those with one agree with promtool; in real mode what
    /// promtool does not see.
    pub fn summary(&self, took: Duration) -> String {
        let [passed, failed, inconclusive, refused] = self.counts();
        let more = match self.mode {
            Mode::Aligned => format!("{} of {} with a verdict agree with promtool", self.agreeing(), passed + failed),
            Mode::Real => format!(
                "at four offsets each: {} met only at some, {} flapping, {} late through other groups",
                self.with(Kind::Offset),
                self.with(Kind::Flaps),
                self.with(Kind::Order)
            ),
        };
        format!(
            "{}: {passed} passed, {failed} failed, {inconclusive} inconclusive, {refused} refused; {more}; took {:.1} s",
            out::count(self.groups.len(), "test group", "test groups"),
            took.as_secs_f64()
        )
    }

    /// The report as JSON.
    pub fn json(&self, took: Duration) -> Result<String> {
        let [passed, failed, inconclusive, refused] = self.counts();
        let mut summary = json!({
            "passed": passed, "failed": failed, "inconclusive": inconclusive, "refused": refused,
            "seconds": took.as_secs_f64(),
        });
        match self.mode {
            Mode::Aligned => summary["agreeing"] = self.agreeing().into(),
            Mode::Real => {
                for (name, kind) in [("offset", Kind::Offset), ("flaps", Kind::Flaps), ("order", Kind::Order)] {
                    summary[name] = self.with(kind).into();
                }
            }
        }
        Ok(serde_json::to_string_pretty(&json!({ "mode": self.mode, "groups": self.groups, "summary": summary }))?)
    }

    /// The report as JUnit XML: a test case for each group.
    pub fn junit(&self) -> Result<String> {
        let text = |group: &Played| [group.reasons.join("\n"), group.promtool_said.clone()].join("\n");
        let texts: Vec<String> = self.groups.iter().map(text).collect();
        let cases: Vec<_> = self.groups.iter().zip(&texts).map(|(group, text)| group.case(text)).collect();
        junit("lab scenario run", "tests", &[], &cases)
    }

    /// How many groups of which promtool says the same.
    fn agreeing(&self) -> usize {
        self.groups.iter().filter(|group| group.agrees() == Some(true)).count()
    }

    /// How many groups have a finding of a kind.
    fn with(&self, kind: Kind) -> usize {
        let has = |group: &&Played| group.findings.iter().any(|finding| finding.kind == kind);
        self.groups.iter().filter(has).count()
    }

    fn counts(&self) -> [usize; 4] {
        [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive, Verdict::Refused]
            .map(|verdict| self.groups.iter().filter(|group| group.live == verdict).count())
    }
}
