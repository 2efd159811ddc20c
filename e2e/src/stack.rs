//! The stack that every backend gives: where its parts answer, and what they must agree with.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::command::Cmd;
use crate::exporter::Exporter;
use crate::prometheus::Prometheus;
use crate::run::Run;

/// The job name that the exporter's targets have in every scrape configuration.
pub const JOB: &str = "mini-node-exporter";

/// The endpoints of a running stack.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The names of the nodes that have to be scraped.
    pub nodes: BTreeSet<String>,
    /// An exporter; on a cluster any one of them.
    pub exporter: Exporter,
    /// The Prometheus.
    pub prometheus: Prometheus,
    /// The Grafana, or why there is none.
    pub grafana: Grafana,
    /// What the exporters read.
    pub procfs: Procfs,
}

/// A Grafana that may be missing.
#[derive(Clone, Debug)]
pub enum Grafana {
    /// Its base address.
    Here(String),
    /// It was not wanted.
    LeftOut,
    /// It could not be had, for this reason.
    Missing(String),
}

/// The procfs that the exporters read, seen without them.
#[derive(Clone, Debug)]
pub enum Procfs {
    /// A kernel's own, mounted here: its values move.
    Live(PathBuf),
    /// A kernel's own, inside a container.
    LiveInContainer(String),
    /// A tree of files, which stand still.
    Fixture(PathBuf),
}

/// What holds a stack's parts, and removes them when it is dropped.
pub trait Backend {
    /// `local`, `kind` or `container`.
    fn name(&self) -> &'static str;

    /// The endpoints.
    fn stack(&self) -> &Stack;

    /// Name and address of what there is to open.
    fn links(&self) -> Vec<(String, String)> {
        self.stack().links()
    }

    /// The run that the stack belongs to.
    fn run(&self) -> &Run;

    /// Fails once a part that should run does not.
    ///
    /// # Errors
    ///
    /// Which part ended, and its last words.
    fn alive(&self) -> Result<()>;

    /// What the parts say is wrong, newest last: for a failed check, whose own observation often is only the effect.
    fn complaints(&self) -> Vec<String>;

    /// How long a check may wait that would like to wait for `wanted`.
    fn check_limit(&self, wanted: Duration) -> Duration {
        wanted
    }

    /// Saves logs and configurations where they outlive the stack, and says where.
    ///
    /// # Errors
    ///
    /// Nothing could be saved.
    fn save_evidence(&self) -> Result<PathBuf>;
}

/// The warnings and errors in a log, the last few of them, each kind once.
pub(crate) fn complaints(log: &str) -> Vec<String> {
    let mut lines: Vec<&str> = Vec::new();
    for line in log.lines().rev() {
        let lower = line.to_lowercase();
        let words = ["level=warn", "level=error", "level=fatal", "panic"];
        let bad = klog_message(line).is_some() || words.iter().any(|word| lower.contains(word));
        if bad && lines.len() < 5 && !lines.iter().any(|seen| message(seen) == message(line)) {
            lines.push(line);
        }
    }
    lines.into_iter().rev().map(str::to_owned).collect()
}

/// What a log line says, without its time and addresses: Prometheus calls it `msg`, the exporter `message`.
fn message(line: &str) -> &str {
    let field = |name| crate::process::logfmt_field(line, name);
    klog_message(line).or_else(|| field("msg")).or_else(|| field("message")).unwrap_or(line)
}

/// The message of a warning or an error in klog's form, in which Prometheus' Kubernetes client speaks:
/// `W0131 23:59:59.000000       1 file.go:1] message`.
pub(crate) fn klog_message(line: &str) -> Option<&str> {
    let (severity, rest) = line.split_at_checked(1)?;
    let has_date = rest.split(' ').next().is_some_and(|date| date.len() == 4 && date.parse::<u16>().is_ok());
    if !has_date || !["W", "E", "F"].contains(&severity) {
        return None;
    }
    rest.split_once("] ").map(|(_, message)| message)
}

impl Stack {
    /// Name and address of each part that answers.
    #[must_use]
    pub fn links(&self) -> Vec<(String, String)> {
        let mut links = vec![
            ("exporter".to_owned(), format!("{}/metrics", self.exporter.base())),
            ("prometheus".to_owned(), self.prometheus.base().to_owned()),
        ];
        if let Grafana::Here(base) = &self.grafana {
            links.push(("grafana".to_owned(), base.clone()));
        }
        links
    }
}

impl Procfs {
    /// Whether the values move by themselves.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Fixture(_))
    }

    /// The numbers in one of its files that the exporter reads: one in `uptime`, three in `loadavg`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or does not begin with that many numbers.
    pub fn numbers<const N: usize>(&self, file: &str) -> Result<[f64; N]> {
        let text = match self {
            Self::Live(root) | Self::Fixture(root) => {
                let path = root.join(file);
                fs::read_to_string(&path).with_context(|| path.display().to_string())?
            }
            Self::LiveInContainer(name) => {
                Cmd::new("docker")
                    .args(["exec", name, "cat", &format!("/proc/{file}")])
                    .limit(Duration::from_secs(10))
                    .run()?
                    .stdout
            }
        };
        let numbers: Vec<f64> = text.split_whitespace().map_while(|word| word.parse().ok()).take(N).collect();
        numbers.try_into().ok().with_context(|| format!("{file} does not begin with {N} numbers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_the_last_of_each_kind() {
        let log = "level=info msg=fine\nlevel=warn msg=slow took=1\nlevel=error message=bad file=a\n\
                   level=warn msg=slow took=2\npanic: one\npanic: two";
        assert_eq!(
            complaints(log),
            ["level=error message=bad file=a", "level=warn msg=slow took=2", "panic: one", "panic: two"]
        );
    }

    #[test]
    fn complaints_are_found_in_klog_s_form_too() {
        let log = "\
            I0131 23:59:59.000000       1 file.go:1] fine\n\
            W0131 23:59:59.000000       1 file.go:1] pods is forbidden\n\
            W0131 23:59:59.900000       1 file.go:1] pods is forbidden\n\
            time=2 level=WARN msg=slow\n";
        assert_eq!(
            complaints(log),
            ["W0131 23:59:59.900000       1 file.go:1] pods is forbidden", "time=2 level=WARN msg=slow"]
        );
    }
}
