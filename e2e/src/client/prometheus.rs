//! A client of Prometheus' HTTP API v1, as far as the checks need it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use regex::Regex;
use serde::Deserialize;

use super::access::Access;
use super::http::Server;
use crate::wait::poll::Final;
use crate::workspace::opening::Lookup;

/// A Prometheus.
#[derive(Clone, Debug)]
pub struct Prometheus(Server);

/// Label names and values.
pub type Labels = BTreeMap<String, String>;

/// The node that labels name: its name, after that of its cluster where one Prometheus watches several, whose nodes may
/// have the same names.
pub fn node_of(labels: &Labels) -> String {
    match (label(labels, "cluster"), label(labels, "node")) {
        ("", node) => node.to_owned(),
        (cluster, node) => format!("{cluster}/{node}"),
    }
}

fn label<'l>(labels: &'l Labels, name: &str) -> &'l str {
    labels.get(name).map_or("", String::as_str)
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series' labels, `__name__` among them where the query keeps it.
    pub labels: Labels,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// A label's value, empty where the series does not have it, as Prometheus has it.
    pub fn label(&self, name: &str) -> &str {
        label(&self.labels, name)
    }

    /// The node that it is from.
    pub fn node(&self) -> String {
        node_of(&self.labels)
    }
}

/// A series of a range vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: Labels,
    /// Time in seconds since 1970, and value, oldest first.
    pub values: Vec<(f64, f64)>,
}

impl Series {
    /// A label's value, empty where the series does not have it.
    pub fn label(&self, name: &str) -> &str {
        label(&self.labels, name)
    }
}

/// An active target.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The labels that its samples get.
    pub labels: Labels,
    /// The scrape job that it was found for; relabelling may change the label `job`.
    pub scrape_pool: String,
    /// The address that is scraped.
    pub scrape_url: String,
    /// `up`, `down` or `unknown`.
    pub health: String,
    /// Why it is down; empty when it is not.
    pub last_error: String,
    /// Such as `15s`.
    #[serde(default)]
    pub scrape_interval: String,
    /// Such as `10s`.
    #[serde(default)]
    pub scrape_timeout: String,
    /// How many seconds its newest scrape took.
    #[serde(default)]
    pub last_scrape_duration: f64,
}

impl Target {
    /// A label's value, empty where the target does not have it.
    pub fn label(&self, name: &str) -> &str {
        label(&self.labels, name)
    }

    /// The node that it is on.
    pub fn node(&self) -> String {
        node_of(&self.labels)
    }

    /// How often it is scraped, where Prometheus says so.
    pub fn interval(&self) -> Option<Duration> {
        humantime::parse_duration(&self.scrape_interval).ok()
    }
}

/// A loaded rule group.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleGroup {
    #[serde(default)]
    pub name: String,
    /// How often it is evaluated, in seconds.
    pub interval: f64,
    /// When its last evaluation began.
    #[serde(default)]
    last_evaluation: String,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A loaded rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The alert's or the recorded metric's name.
    pub name: String,
    /// `ok`, `err`, or `unknown` before its first evaluation.
    pub health: String,
    /// `alerting` or `recording`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// What its last evaluation failed of.
    #[serde(default)]
    pub last_error: String,
    /// Those of an alerting rule that are pending or firing.
    #[serde(default)]
    pub alerts: Vec<Alert>,
}

/// A pending or firing alert.
#[derive(Clone, Debug, Deserialize)]
pub struct Alert {
    pub labels: Labels,
    #[serde(default)]
    pub annotations: Labels,
    /// `pending` or `firing`.
    pub state: String,
}

impl RuleGroup {
    /// When its last evaluation that is over began; `None` before the first, and in another time zone than UTC.
    pub fn last_evaluation(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.last_evaluation).ok()
    }
}

/// A query that cannot be evaluated on the series that are there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotEvaluated(String);

impl Prometheus {
    /// The Prometheus with that base address, such as `http://127.0.0.1:9090`.
    pub fn new(base: impl Into<String>) -> Self {
        Self(Server::new(base))
    }

    /// As [`Prometheus::new`], with another deadline for each request.
    pub fn with_limit(base: impl Into<String>, limit: Duration) -> Self {
        Self(Server::with_limit(base, limit))
    }

    /// The Prometheus at an address anywhere.
    pub fn elsewhere(base: &str, access: &Access) -> Self {
        Self(Server::elsewhere(base, access))
    }

    pub fn base(&self) -> &str {
        self.0.base()
    }

    /// Evaluates a query now. A scalar comes as one sample without labels.
    pub fn query(&self, query: &str) -> Result<Vec<Sample>> {
        self.evaluate(query, &[("query", query)])
    }

    /// Evaluates a query at a time.
    pub fn query_at(&self, query: &str, time: SystemTime) -> Result<Vec<Sample>> {
        let time = humantime::format_rfc3339_millis(time).to_string();
        self.evaluate(query, &[("query", query), ("time", &time)])
    }

    fn evaluate(&self, query: &str, parameters: &[(&str, &str)]) -> Result<Vec<Sample>> {
        let answer = self.0.get("/api/v1/query", parameters)?;
        answer.json_of_any_status().and_then(samples).with_context(|| format!("query `{query}`"))
    }

    /// The samples that a range selector such as `up[5m]` finds, by series.
    pub fn range(&self, selector: &str) -> Result<Vec<Series>> {
        let answer: Envelope<QueryData> = self.0.get("/api/v1/query", &[("query", selector)])?.json()?;
        let QueryData::Matrix(series) = answer.data.with_context(|| answer.error)? else {
            bail!("`{selector}` is no range selector");
        };
        let read = |series: RawSeries| {
            let values = series.values.iter().map(|(time, value)| Ok((*time, number(value)?)));
            Ok(Series { labels: series.metric, values: values.collect::<Result<_>>()? })
        };
        series.into_iter().map(read).collect()
    }

    /// The values that a dashboard's variable can have.
    pub fn find(&self, lookup: &Lookup) -> Result<Vec<String>> {
        let series = |sample: &Sample| {
            let labels = sample.labels.iter().filter(|(name, _)| *name != "__name__");
            let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
            format!("{}{{{}}} {}", sample.label("__name__"), labels.join(","), sample.value)
        };
        Ok(match (lookup, lookup.query()) {
            (Lookup::LabelValues { label, .. }, Some(query)) => {
                let values = self.query(&query)?.into_iter().map(|mut sample| sample.labels.remove(label));
                values.flatten().collect()
            }
            (Lookup::LabelValues { label, .. }, None) => self.label_values(label)?,
            (Lookup::Metrics(pattern), _) => {
                let pattern = Regex::new(pattern).with_context(|| format!("metrics({pattern})"))?;
                self.label_values("__name__")?.into_iter().filter(|name| pattern.is_match(name)).collect()
            }
            (Lookup::LabelNames, _) => self.strings("/api/v1/labels")?,
            (Lookup::Series(expr), _) => self.query(expr)?.iter().map(series).collect(),
        })
    }

    /// Every value of a label.
    pub fn label_values(&self, label: &str) -> Result<Vec<String>> {
        self.strings(&format!("/api/v1/label/{label}/values"))
    }

    fn strings(&self, path: &str) -> Result<Vec<String>> {
        let answer: Envelope<Vec<String>> = self.0.get(path, &[])?.json()?;
        answer.data.with_context(|| answer.error)
    }

    /// The active targets of a scrape job.
    pub fn targets(&self, job: &str) -> Result<Vec<Target>> {
        let mut targets = self.all_targets()?;
        targets.retain(|target| target.label("job") == job);
        Ok(targets)
    }

    /// The active targets of every scrape job.
    pub fn all_targets(&self) -> Result<Vec<Target>> {
        self.lists("/api/v1/targets", &[("state", "active")])?.active_targets.context("no `activeTargets`")
    }

    /// How many targets of a scrape job were discovered, and then dropped by its relabelling.
    pub fn dropped(&self, job: &str) -> Result<usize> {
        let dropped = self.lists("/api/v1/targets", &[("state", "dropped")])?.dropped_targets;
        let of_job = |target: &&DroppedTarget| label(&target.discovered_labels, "job") == job;
        Ok(dropped.context("no `droppedTargets`")?.iter().filter(of_job).count())
    }

    /// The scrape jobs that are configured, with or without a target.
    pub fn jobs(&self) -> Result<Vec<String>> {
        self.lists("/api/v1/scrape_pools", &[])?.scrape_pools.context("no `scrapePools`")
    }

    /// The addresses of the Alertmanagers that alerts are sent to.
    pub fn alertmanagers(&self) -> Result<Vec<String>> {
        let found =
            self.lists("/api/v1/alertmanagers", &[])?.active_alertmanagers.context("no `activeAlertmanagers`")?;
        Ok(found.into_iter().map(|found| found.url).collect())
    }

    /// The loaded rule groups.
    pub fn rules(&self) -> Result<Vec<RuleGroup>> {
        self.lists("/api/v1/rules", &[])?.groups.context("no `groups`")
    }

    fn lists(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Lists> {
        let answer: Envelope<Lists> = self.0.get(path, parameters)?.json()?;
        answer.data.with_context(|| answer.error)
    }

    /// Writes samples: the compressed body of a remote write request.
    pub fn write(&self, body: &[u8]) -> Result<()> {
        let headers = [
            ("Content-Type", "application/x-protobuf"),
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        Ok(self.0.post_bytes("/api/v1/write", &headers, body)?.text().map(drop)?)
    }

    /// Has Prometheus read its configuration and rules anew; returns when it has.
    pub fn reload(&self) -> Result<()> {
        Ok(self.0.post_bytes("/-/reload", &[], &[])?.text().map(drop)?)
    }

    /// Whether Prometheus is ready to serve queries.
    pub fn ready(&self) -> Result<()> {
        Ok(self.0.get("/-/ready", &[])?.text().map(drop)?)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<T> {
    data: Option<T>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum QueryData {
    Vector(Vec<Element>),
    Scalar((f64, String)),
    Matrix(Vec<RawSeries>),
}

#[derive(Deserialize)]
struct RawSeries {
    metric: Labels,
    values: Vec<(f64, String)>,
}

/// What the other answers hold, one of these each.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lists {
    active_targets: Option<Vec<Target>>,
    dropped_targets: Option<Vec<DroppedTarget>>,
    scrape_pools: Option<Vec<String>>,
    active_alertmanagers: Option<Vec<ActiveAlertmanager>>,
    groups: Option<Vec<RuleGroup>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DroppedTarget {
    discovered_labels: Labels,
}

#[derive(Deserialize)]
struct ActiveAlertmanager {
    url: String,
}

#[derive(Deserialize)]
struct Element {
    metric: Labels,
    value: (f64, String),
}

fn number(text: &str) -> Result<f64> {
    text.parse().with_context(|| format!("`{text}` is not a sample value"))
}

fn samples(answer: Envelope<QueryData>) -> Result<Vec<Sample>> {
    if answer.error_type == "bad_data" {
        // The query itself is wrong, and stays so.
        return Err(Final(answer.error).into());
    }
    if answer.error_type == "execution" {
        return Err(NotEvaluated(answer.error).into());
    }
    match answer.data.with_context(|| answer.error)? {
        QueryData::Scalar((_, value)) => Ok(vec![Sample { labels: Labels::new(), value: number(&value)? }]),
        QueryData::Vector(elements) => elements
            .into_iter()
            .map(|element| Ok(Sample { value: number(&element.value.1)?, labels: element.metric }))
            .collect(),
        QueryData::Matrix(_) => Err(NotEvaluated("it gives a range vector".to_owned()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::stand_in::StandIn;

    fn parse_query(body: &str) -> Result<Vec<Sample>> {
        samples(serde_json::from_str(body)?)
    }

    #[test]
    fn an_unexpected_answer_is_shown_with_its_address_and_status() {
        let stand_in = StandIn::answering(&[("/api/v1/query", "502 text/html\n<html>")]);
        let error = format!("{:#}", Prometheus(stand_in.server()).query("up").unwrap_err());
        let expected =
            format!("query `up`: GET {}/api/v1/query: 502 Bad Gateway: unexpected body: <html>", stand_in.base);
        assert_eq!(error, expected);
    }

    #[test]
    fn vectors_scalars_and_errors_are_distinguished() {
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","node":"a"},"value":[1700000000.1,"1"]},
            {"metric":{},"value":[1700000000.1,"+Inf"]}]}}"#;
        let samples = parse_query(vector).unwrap();
        assert_eq!((samples[0].label("node"), samples[0].label("pod"), samples[0].value), ("a", "", 1.0));
        assert!(samples[1].value.is_infinite());
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000.1,"42"]}}"#;
        assert_eq!(parse_query(scalar).unwrap(), [Sample { labels: Labels::new(), value: 42.0 }]);
        let wrong = parse_query(r#"{"status":"error","errorType":"bad_data","error":"parse error: x"}"#).unwrap_err();
        assert!(wrong.is::<Final>() && wrong.to_string() == "parse error: x", "{wrong:#}");
        let busy = parse_query(r#"{"status":"error","errorType":"timeout","error":"too late"}"#).unwrap_err();
        assert!(!busy.is::<Final>() && busy.to_string().contains("too late"), "{busy:#}");
    }
}
