//! Scenarios: unit tests of rules, as promtool takes them, that are played in a lab. With the comment `# lab: play on
//! exporters` the series of a test are those of nodes, and a real Prometheus scrapes real exporters while their trees change;
//! its verdict stands beside promtool's. The series of any other test arrive by remote write, and only what is delivered is
//! judged.
//!
//! The series of nodes have the labels that a scrape gives them:
//!
//! | series | value | `stale`, then `_` | without the series |
//! |---|---|---|---|
//! | `up`, of every node | 1 it answers, 0 the exporter is gone | the target has left discovery | |
//! | `node_uptime` | what the file says | the file is missing | 10 days at the start |
//! | `node_load`, of one `duration` or of each | what the file says | the file is missing | 0.5 |
//! | `node_scrape_collector_success` of `uptime` and `load` | 0 where the file is missing | | as the file is |
//!
//! While `up` is 0 or stale, the other series are stale. With the comment `# lab: NODE hangs` the exporter of that node does
//! not end where `up` is 0: it accepts connections and does not answer. At the first step every node is healthy. What is
//! expected of Alertmanager stands in comments, too: see [`pages`].

mod expectation;
mod nodes;
pub mod pages;
pub mod run;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

pub use expectation::{Expectation, What};
pub use nodes::Timeline;
use pages::PageExpectation;

use crate::client::prometheus::Labels;
use crate::play::file::{ON_EXPORTERS, Place, Series, TestFile, TestGroup};
use crate::workspace;

/// Where the shipped scenarios are, in the workspace.
pub const SCENARIOS: &str = "fixtures/scenarios";

/// A valid scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file, and the line of the group.
    pub path: PathBuf,
    pub line: u64,
    /// The file's name without its extension, and the line of the group where there are several.
    pub name: String,
    /// What happens, in one line.
    pub title: String,
    /// How long a step lasts, and how often rules are evaluated: the same for nodes.
    pub interval: Duration,
    pub evaluation_interval: Duration,
    pub external_labels: Labels,
    pub rule_files: Vec<PathBuf>,
    /// Its nodes, step by step.
    pub timelines: Vec<Timeline>,
    /// The series that are not those of nodes: they arrive by remote write.
    pub series: Vec<Series>,
    end: Duration,
    /// In the order of time.
    pub expectations: Vec<Expectation>,
}

impl Scenario {
    /// Reads a test group of any series. Those of nodes are checked; the error names the file, the line and what was expected.
    pub fn read(file: &TestFile, group: &TestGroup) -> Result<Self> {
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
        let read = || {
            let test = group.test.as_ref().map_err(|reason| anyhow!("{reason}"))?;
            let interval = test.interval;
            ensure!(
                !group.is_on_exporters() || interval == file.evaluation_interval,
                "an evaluation every {}, and a value every {}; expected the same",
                humantime::format_duration(file.evaluation_interval),
                humantime::format_duration(interval)
            );
            let mut hanging = BTreeSet::new();
            let mut expectations = expectation::all(test);
            for (line, note) in group.notes.iter().filter(|(_, note)| note != ON_EXPORTERS) {
                if let Some(node) = note.strip_suffix(" hangs") {
                    hanging.insert(node.trim());
                } else {
                    let (at, pages) = PageExpectation::read(note).with_context(|| format!("line {line}"))?;
                    expectations.push(Expectation { at, text: pages.to_string(), what: What::Pages(pages) });
                }
            }
            ensure!(
                group.is_on_exporters() || hanging.is_empty(),
                "`lab: NODE hangs` is for nodes; add the comment `lab: {ON_EXPORTERS}`"
            );
            let (timelines, series) = if group.is_on_exporters() {
                (nodes::timelines(test, &hanging)?, Vec::new())
            } else {
                (Vec::new(), test.series.clone())
            };
            expectations.sort_by_key(|expectation| expectation.at);
            if group.is_on_exporters() {
                ensure!(!expectations.is_empty(), "no expectations; expected `alert_rule_test` or `promql_expr_test`");
            } else {
                // What fires and is returned at a moment is for a play that meets it exactly.
                expectations.retain(|expectation| matches!(expectation.what, What::Pages(_)));
            }
            let one = file.groups.len() == 1;
            let name = if one { stem.to_string() } else { format!("{stem}:{}", group.line) };
            let rule_files = file.rule_files.clone();
            let (path, line, title) = (file.path.clone(), group.line, group.name.clone());
            let ends = test.series.iter().filter_map(|series| Some(series.samples.last()?.0));
            let mut end = ends.max().unwrap_or_default();
            let last = expectations.last().map_or(Duration::ZERO, |last| last.at);
            if group.is_on_exporters() {
                let is_in_time = last <= end;
                let [end, last] = [end, last].map(humantime::format_duration);
                ensure!(is_in_time, "the series end at {end}, and something is expected at {last}");
            } else {
                end = end.max(last).max(test.end());
            }
            Ok(Self {
                path,
                line,
                name,
                title,
                interval,
                evaluation_interval: file.evaluation_interval,
                external_labels: test.external_labels.clone(),
                rule_files,
                timelines,
                series,
                end,
                expectations,
            })
        };
        read().with_context(|| format!("{}:{}", file.path.display(), group.line))
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        usize::try_from(self.end.as_millis() / self.interval.as_millis()).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// How long it lasts: until the last value of a series, and without nodes until the last expectation.
    pub fn length(&self) -> Duration {
        self.end
    }

    /// Whether an alert with these labels is its own: other scenarios and a fleet have alerts, too.
    fn raises(&self, labels: &Labels) -> bool {
        self.timelines.is_empty() || self.clusters().contains(&labels.get("cluster").map(String::as_str))
    }

    /// Whether it expects something of Alertmanager.
    pub fn expects_pages(&self) -> bool {
        self.expectations.iter().any(|expectation| matches!(expectation.what, What::Pages(_)))
    }

    /// The clusters of its nodes; `None` for nodes without one.
    pub fn clusters(&self) -> BTreeSet<Option<&str>> {
        self.timelines.iter().map(|timeline| timeline.node.split_once('/').map(|(cluster, _)| cluster)).collect()
    }

    /// Whether two scenarios can be played at once, each on nodes of its own.
    fn goes_with(&self, other: &Self) -> bool {
        let are_nodes = [self, other].iter().all(|scenario| scenario.series.is_empty());
        let is_apart = are_nodes && self.clusters().is_disjoint(&other.clusters());
        let of_lab =
            |scenario: &Self| (scenario.interval, scenario.rule_files.clone(), scenario.external_labels.clone());
        is_apart && of_lab(self) == of_lab(other)
    }
}

/// The scenarios that can be played at once, together.
pub fn labs(scenarios: Vec<Scenario>) -> Vec<Vec<Scenario>> {
    let mut labs: Vec<Vec<Scenario>> = Vec::new();
    for scenario in scenarios {
        match labs.iter_mut().find(|lab| lab.iter().all(|other| other.goes_with(&scenario))) {
            Some(lab) => lab.push(scenario),
            None => labs.push(vec![scenario]),
        }
    }
    labs
}

/// The file of a shipped scenario, or the one that is named, `FILE:LINE` for one group of it.
pub fn place(name: &str) -> Result<Place> {
    let of_line = name.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
    let (name, line) = of_line.map_or((name, None), |(file, line)| (file, Some(line)));
    Ok(Place { path: file(name)?, line })
}

fn file(name: &str) -> Result<PathBuf> {
    let own = Path::new(name);
    if name.contains('/') || own.extension().is_some() {
        return Ok(own.to_owned());
    }
    let shipped = shipped()?;
    if let Some(path) = shipped.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)) {
        return Ok(path.clone());
    }
    let names: Vec<_> = shipped.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    bail!("no scenario `{name}`; there are {}, or name a file `FILE.yml`", names.join(", "))
}

/// The files of the shipped scenarios, by name.
pub fn shipped() -> Result<Vec<PathBuf>> {
    workspace::files(&workspace::shipped(SCENARIOS)?, &["yml"])
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;
    use crate::backend::local::scenario_nodes::ExporterState::{Answers, Gone, Hangs, Undiscovered};

    const TEXT: &str = r#"tests:
  - name: A test.
    # lab: play on exporters
    # lab: b hangs
    input_series:
      - series: up{job="mini-node-exporter", node="a", instance="a", cluster="c"}
        values: 1x1 0 1 stale _
      - series: node_uptime{job="mini-node-exporter", node="a", instance="a", cluster="c", hostname="a"}
        values: 60 120 stale 60 stale _
      - series: node_load{job="mini-node-exporter", node="a", instance="a", cluster="c", hostname="a", duration="15m"}
        values: 1 stale _x4
      - series: up{job="mini-node-exporter", node="b", instance="b"}
        values: 1 0x4
    alert_rule_test:
      - { alertname: A, eval_time: 4m, exp_alerts: [{ exp_labels: { node: a } }] }
    promql_expr_test:
      - { expr: up, eval_time: 1m, exp_samples: [{ labels: 'up{node="a"}', value: 1 }] }
"#;

    fn read(text: &str) -> Result<Scenario> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.yml");
        fs::write(&path, text).unwrap();
        let file = TestFile::read(&path).unwrap();
        Scenario::read(&file, &file.groups[0])
    }

    #[test]
    fn a_test_becomes_timelines_and_expectations() {
        let scenario = read(TEXT).unwrap();
        let timelines = &scenario.timelines;
        let states = |index: usize| timelines[index].steps.iter().map(|step| step.state).collect::<Vec<_>>();
        assert_eq!([&*timelines[0].node, &timelines[1].node], ["b", "c/a"]);
        assert_eq!(states(0), [Answers, Hangs, Hangs, Hangs, Hangs, Hangs]);
        assert_eq!(states(1), [Answers, Answers, Gone, Answers, Undiscovered, Undiscovered]);
        let files: Vec<_> = timelines[1].steps.iter().map(|step| (step.uptime, step.load)).collect();
        assert_eq!(files[..2], [(Some(60.0), Some([1.0; 3])), (Some(120.0), None)]);
        assert_eq!((files[2], files[3]), (files[1], (Some(60.0), None)));
        let of_b = timelines[0].steps[0];
        assert_eq!((of_b.uptime, of_b.load), (Some(864_000.0), Some([0.5; 3])));
        let expected: Vec<&str> = scenario.expectations.iter().map(|expectation| &*expectation.text).collect();
        assert_eq!(expected, [r#"up returns up{node="a"} 1"#, r#"A fires for {node="a"}"#]);
    }

    #[test]
    fn errors_name_the_series_and_what_was_expected() {
        for (from, to, said) in [
            ("values: 1 0x4", "values: 1x3", "no value at 4m; expected `stale` first"),
            ("job=\"mini-node-exporter\"", "job=\"other\"", "expected the label job=\"mini-node-exporter\""),
            ("instance=\"a\", ", "", "expected the label instance=\"a\""),
            (", hostname=\"a\"", "", "expected the label hostname=\"a\""),
            ("cluster=\"c\", hostname", "cluster=\"c\", pod=\"p\", hostname", "unexpected label `pod`"),
            ("node_uptime", "node_boot", "expected up, node_uptime, node_load or node_scrape_collector_success"),
            ("\"15m\"", "\"2m\"", "invalid duration=\"2m\"; expected 1m, 5m, 15m"),
            ("cluster=\"c\"}", "cluster=\"d\"}", "node `c/a`: no series `up`"),
            ("120 stale 60", "120 60 60", "has a value at 2m, when `up` is not 1"),
            ("60 120", "stale _", "node `c/a`: the node must start healthy"),
            ("values: 1 0x4", "values: 0x5", "node `b`: the node must start healthy"),
            ("values: 1 0x4", "values: 1 0.5x4", "node `b`: `up` is 0.5 at 1m; expected 0, 1 or `stale`"),
            ("b hangs", "z hangs", "no node `z`, which a comment says hangs"),
            (
                "b hangs",
                "b sings",
                "line 4: unknown comment `lab: b sings`; expected `lab: NODE hangs`, `lab: ALERT delivered to RECEIVER",
            ),
            ("b hangs", "A not delivered by 9m", "the series end at 5m, and something is expected at 9m"),
            ("eval_time: 4m", "eval_time: 9m", "the series end at 5m, and something is expected at 9m"),
            ("name: A test.", "interval: 30s", "an evaluation every 1m, and a value every 30s; expected the same"),
        ] {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT, "{from}");
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(error.contains(said), "{to}: `{said}` is not in: {error}");
        }
    }

    #[test]
    fn scenarios_share_a_lab_if_clusters_rules_and_labels_allow_it() {
        let one = read(TEXT).unwrap();
        let other = read(
            &TEXT.replace("cluster=\"c\"", "cluster=\"d\"").replace("instance=\"b\"", "instance=\"b\", cluster=\"e\""),
        )
        .unwrap();
        let own_rules = Scenario { rule_files: vec!["other.yml".into()], ..other.clone() };
        let own_labels = [("region".to_owned(), "eu".to_owned())].into();
        let own_labels = Scenario { external_labels: own_labels, ..other.clone() };
        let labs = labs(vec![one.clone(), other, one, own_rules, own_labels]);
        assert_eq!(labs.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
    }
}
