//! Files of unit tests, as promtool takes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fs_err as fs;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::notation::{self, Step};
use super::speed_up::duration;
use crate::client::prometheus::Labels;

/// The comment by which a test group is a scenario of nodes, which are exporters.
pub const ON_EXPORTERS: &str = "play on exporters";

/// promtool's default of `evaluation_interval`.
const MINUTE: Duration = Duration::from_secs(60);

/// Where tests are: a file, or the group of it that begins in a line.
#[derive(Clone, Debug)]
pub struct Place {
    pub path: PathBuf,
    pub line: Option<u64>,
}

impl Place {
    /// Fails where there is no file.
    pub fn expect_file(&self) -> Result<()> {
        let shown = self.path.display();
        ensure!(
            !self.path.is_dir(),
            "{shown} is a directory; name its files, such as {}",
            self.path.join("*.yml").display()
        );
        ensure!(self.path.exists(), "{shown}: no such file");
        Ok(())
    }
}

/// A file of unit tests.
pub struct TestFile {
    pub path: PathBuf,
    /// The rule files, in promtool's order.
    pub rule_files: Vec<PathBuf>,
    /// The patterns of rule files that match none.
    pub unmatched: Vec<PathBuf>,
    pub evaluation_interval: Duration,
    /// Whether values may differ in their last bit.
    pub fuzzy_compare: bool,
    pub group_eval_order: Vec<String>,
    /// Each test group, or why it cannot be played.
    pub groups: Vec<TestGroup>,
    /// The file itself, its paths absolute.
    raw: RawFile,
}

/// A test group.
pub struct TestGroup {
    /// Where it begins.
    pub line: u64,
    pub name: String,
    /// What comments `# lab: …` in it and above all groups say, each with its line. promtool does not read them.
    pub notes: Vec<(u64, String)>,
    pub test: Result<Test, String>,
}

/// What a test group says.
pub struct Test {
    /// The time from one value of a series to the next.
    pub interval: Duration,
    pub series: Vec<Series>,
    pub alerts: Vec<AlertTest>,
    pub queries: Vec<QueryTest>,
    pub external_labels: Labels,
    pub external_url: Option<String>,
}

/// A series, and its samples in the order of time.
#[derive(Clone, Debug)]
pub struct Series {
    pub labels: Labels,
    pub samples: Vec<(Duration, Step)>,
}

/// These alerts of a name fire at a time, and no others do.
pub struct AlertTest {
    pub name: String,
    pub at: Duration,
    /// Labels and annotations of each.
    pub expected: Vec<(Labels, Labels)>,
}

/// What a query returns at a time.
pub struct QueryTest {
    pub expr: String,
    pub at: Duration,
    pub expected: Vec<(Labels, f64)>,
}

// Every text is as it is written: `0x30` is no number.

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    rule_files: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation_interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_eval_order: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fuzzy_compare: Option<bool>,
    #[serde(default)]
    tests: Vec<Spanned<RawGroup>>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_timestamp: Option<String>,
    input_series: Option<Vec<RawSeries>>,
    alert_rule_test: Option<Vec<RawAlertTest>>,
    promql_expr_test: Option<Vec<RawQueryTest>>,
    external_labels: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_url: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawSeries {
    series: String,
    values: String,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawAlertTest {
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_time: Option<String>,
    #[serde(default)]
    alertname: String,
    exp_alerts: Option<Vec<RawAlert>>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawAlert {
    exp_labels: Option<Texts>,
    exp_annotations: Option<Texts>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawQueryTest {
    expr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_time: Option<String>,
    exp_samples: Option<Vec<RawSample>>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawSample {
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
    #[serde(default, serialize_with = "finite")]
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    histogram: Option<String>,
}

/// Texts under names; one that is missing is empty.
pub type Texts = BTreeMap<String, Option<String>>;

fn texts(texts: Option<&Texts>) -> Labels {
    let texts = texts.into_iter().flatten();
    texts.map(|(name, text)| (name.clone(), text.clone().unwrap_or_default())).collect()
}

/// The comments `# lab: …` of a file, each with its line.
fn notes(text: &str) -> impl Iterator<Item = (u64, String)> {
    (1..).zip(text.lines()).filter_map(|(line, text)| {
        let note = text.trim_start().strip_prefix('#')?.trim_start().strip_prefix("lab:")?;
        Some((line, note.trim().to_owned()))
    })
}

impl TestGroup {
    /// Whether comments ask for a lab: one of nodes, or one that delivers pages.
    pub fn is_in_lab(&self) -> bool {
        !self.notes.is_empty()
    }

    /// Whether it is a scenario of nodes.
    pub fn is_on_exporters(&self) -> bool {
        self.notes.iter().any(|(_, note)| note == ON_EXPORTERS)
    }
}

impl TestFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let shown = path.display();
        let mut raw: RawFile = match serde_saphyr::from_str(&text) {
            Err(_) if holds_rules(&text) => bail!("{shown}: holds rules, not unit tests"),
            raw => raw.with_context(|| format!("{shown}: not a file of unit tests"))?,
        };
        let unmatched;
        (raw.rule_files, unmatched) = found(path, &raw.rule_files)?;
        let evaluation_interval = some(raw.evaluation_interval.as_ref())?.unwrap_or(MINUTE);
        let starts: Vec<u64> = raw.tests.iter().map(|group| group.referenced.line()).collect();
        let group = |(index, group): (usize, &Spanned<RawGroup>)| {
            let is_of_it = |line: u64| line < starts[0] || starts.partition_point(|start| *start <= line) == index + 1;
            TestGroup {
                line: starts[index],
                name: group.value.name.clone().unwrap_or_default(),
                notes: notes(&text).filter(|(line, _)| is_of_it(*line)).collect(),
                test: Test::read(&group.value, evaluation_interval).map_err(|reason| format!("{reason:#}")),
            }
        };
        Ok(Self {
            path: path.to_owned(),
            rule_files: raw.rule_files.clone(),
            unmatched,
            evaluation_interval,
            fuzzy_compare: raw.fuzzy_compare.unwrap_or_default(),
            group_eval_order: raw.group_eval_order.clone().unwrap_or_default(),
            groups: raw.tests.iter().enumerate().map(group).collect(),
            raw,
        })
    }

    /// Reads a file, or one group of it; fails where there is none.
    pub fn read_at(Place { path, line }: &Place) -> Result<Self> {
        let mut file = Self::read(path)?;
        ensure!(!file.groups.is_empty(), "{}: no test group", path.display());
        if let Some(line) = line {
            let begin: Vec<String> = file.groups.iter().map(|group| group.line.to_string()).collect();
            let index = file.groups.iter().position(|group| group.line == *line);
            let index = index.with_context(|| {
                format!("{}: no test begins in line {line}; they begin in {}", path.display(), begin.join(", "))
            })?;
            file.groups = vec![file.groups.swap_remove(index)];
            file.raw.tests = vec![file.raw.tests.swap_remove(index)];
        }
        Ok(file)
    }

    /// The file with one group alone, in JSON, which is YAML.
    pub fn with_group(&self, index: usize) -> Result<String> {
        let file = RawFile { tests: vec![self.raw.tests[index].clone()], ..self.raw.clone() };
        let text = serde_json::to_string(&file)?;
        Ok(NOT_FINITE.iter().fold(text, |text, (quoted, plain)| text.replace(quoted, plain)))
    }
}

/// Numbers that JSON does not have, and how YAML writes them.
const NOT_FINITE: [(&str, &str); 3] = [("\"lab:NaN\"", ".nan"), ("\"lab:inf\"", ".inf"), ("\"lab:-inf\"", "-.inf")];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn finite<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f64(*value)
    } else {
        serializer.collect_str(&format_args!("lab:{value}"))
    }
}

impl Test {
    fn read(group: &RawGroup, evaluation_interval: Duration) -> Result<Self> {
        ensure!(group.start_timestamp.is_none(), "`start_timestamp` is not supported");
        let interval = some(group.interval.as_ref())?.unwrap_or(evaluation_interval);
        let series = group.input_series.iter().flatten();
        // Of series with the same labels promtool keeps the last.
        let series = series.map(|series| Ok((notation::series(&series.series)?, series.samples(interval)?)));
        let series: BTreeMap<Labels, Vec<(Duration, Step)>> = series.collect::<Result<_>>()?;
        let unnamed = series.keys().any(|labels| !labels.contains_key("__name__"));
        ensure!(!unnamed, "a series without a name, which remote write does not take");
        Ok(Self {
            interval,
            series: series.into_iter().map(|(labels, samples)| Series { labels, samples }).collect(),
            alerts: group.alert_rule_test.iter().flatten().map(RawAlertTest::read).collect::<Result<_>>()?,
            queries: group.promql_expr_test.iter().flatten().map(RawQueryTest::read).collect::<Result<_>>()?,
            external_labels: texts(group.external_labels.as_ref()),
            external_url: group.external_url.clone().filter(|url| !url.is_empty()),
        })
    }

    /// The time of the last expectation.
    pub fn end(&self) -> Duration {
        let times = self.alerts.iter().map(|test| test.at).chain(self.queries.iter().map(|test| test.at));
        times.max().unwrap_or_default()
    }
}

impl RawSeries {
    fn samples(&self, interval: Duration) -> Result<Vec<(Duration, Step)>> {
        ensure!(!self.values.contains("{{"), "native histograms are not supported");
        let values = notation::values(&self.values).with_context(|| self.series.clone())?;
        let times = (0..).map(|step| interval * step);
        Ok(times.zip(values).filter(|(_, step)| *step != Step::Missing).collect())
    }
}

impl RawAlertTest {
    fn read(&self) -> Result<AlertTest> {
        ensure!(!self.alertname.is_empty(), "a test of alerts without `alertname`");
        let expected = |alert: &RawAlert| {
            let mut labels = texts(alert.exp_labels.as_ref());
            labels.insert("alertname".to_owned(), self.alertname.clone());
            (labels, texts(alert.exp_annotations.as_ref()))
        };
        Ok(AlertTest {
            name: self.alertname.clone(),
            at: some(self.eval_time.as_ref())?.unwrap_or_default(),
            expected: self.exp_alerts.iter().flatten().map(expected).collect(),
        })
    }
}

impl RawQueryTest {
    fn read(&self) -> Result<QueryTest> {
        let expected = self.exp_samples.iter().flatten().map(|sample| {
            ensure!(sample.histogram.is_none(), "native histograms are not supported");
            Ok((notation::series(sample.labels.as_deref().unwrap_or_default())?, sample.value))
        });
        Ok(QueryTest {
            expected: expected.collect::<Result<_>>()?,
            at: some(self.eval_time.as_ref())?.unwrap_or_default(),
            expr: self.expr.clone(),
        })
    }
}

fn some(text: Option<&String>) -> Result<Option<Duration>> {
    text.map(|text| duration(text)).transpose()
}

/// Whether a text is a rule file, or a Kubernetes object of rules.
fn holds_rules(text: &str) -> bool {
    serde_saphyr::from_str::<Value>(text)
        .is_ok_and(|file| file.get("groups").or_else(|| file.get("spec")?.get("groups")).is_some())
}

/// The rule files that a file of tests names, relative to itself or by patterns, and the patterns that match none.
fn found(path: &Path, patterns: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let folder = std::path::absolute(path)?.parent().context("a file in no folder")?.to_owned();
    let (mut found, mut unmatched) = (Vec::new(), Vec::new());
    for pattern in patterns {
        let paths: Vec<PathBuf> = glob::glob(&folder.join(pattern).to_string_lossy())?.collect::<Result<_, _>>()?;
        if paths.is_empty() {
            unmatched.push(pattern.clone());
        }
        found.extend(paths);
    }
    Ok((found, unmatched))
}
