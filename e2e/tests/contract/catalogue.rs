//! Every metric that a shipped query may use, with its labels: the exporter's own, those that Prometheus makes for each
//! scrape and each alert, and those that a shipped rule records.

use std::collections::{BTreeMap, BTreeSet};

use crate::promql;
use crate::scraping::Jobs;
use e2e::stack::JOB;
use e2e::workspace::rules::RuleFile;
use regex::Regex;

/// Label names.
pub type Labels = BTreeSet<String>;

/// Each metric of an exposition, its label names, and the values that each label has there.
pub type Metrics = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Reads which metrics with which labels an exposition has. That its text is well formed, the exporter's own tests hold.
pub fn metrics(exposition: &str) -> Metrics {
    let sample = Regex::new(r"(?m)^(\w+)(?:\{(.*)\})? ").unwrap();
    let label = Regex::new(r#"(\w+)="([^"]*)""#).unwrap();
    let mut metrics = Metrics::new();
    for found in sample.captures_iter(exposition) {
        let labels = metrics.entry(found[1].to_owned()).or_default();
        for pair in found.get(2).iter().flat_map(|labels| label.captures_iter(labels.as_str())) {
            labels.entry(pair[1].to_owned()).or_default().insert(pair[2].to_owned());
        }
    }
    metrics
}

/// What Prometheus adds to each scrape.
const OF_EACH_SCRAPE: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// The label that every scraped series has where one Prometheus watches several clusters, and none has elsewhere.
pub const CLUSTER: &str = "cluster";

/// What kube-state-metrics says of a node, and its labels besides those that scraping attaches.
const OF_KUBE_STATE_METRICS: [(&str, &[&str]); 4] = [
    ("kube_node_info", &["os_image", "kubelet_version"]),
    ("kube_node_spec_unschedulable", &[]),
    ("kube_node_spec_taint", &["key", "value", "effect"]),
    ("kube_node_status_capacity", &["resource", "unit"]),
];

/// The exporter's labels whose values are the same on every node, so that a mistyped one can be told.
const FIXED: [&str; 2] = ["collector", "duration"];

/// What a query can know about one metric: its labels, and for some of them every value that they can have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metric {
    /// The labels of its series.
    pub labels: Labels,
    /// The values of those labels that have a fixed set of them.
    pub values: BTreeMap<String, BTreeSet<String>>,
}

/// The metrics that queries may use.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    metrics: BTreeMap<String, Metric>,
    own: Metric,
}

impl Catalogue {
    /// The metrics of an exposition as the scrape jobs store them, and Prometheus' own.
    pub fn new(exposition: &Metrics, jobs: &Jobs) -> Self {
        let mut attached = jobs.get(JOB).cloned().unwrap_or_default();
        attached.insert(CLUSTER.to_owned());
        let job = ("job".to_owned(), jobs.keys().cloned().collect());
        let scraped = Metric { labels: attached, values: BTreeMap::from([job]) };

        let mut catalogue = Self { metrics: BTreeMap::new(), own: scraped.clone() };
        for name in OF_EACH_SCRAPE {
            catalogue.metrics.insert(name.to_owned(), scraped.clone());
        }
        for (name, labels) in OF_KUBE_STATE_METRICS {
            let labels = ["job", "instance", CLUSTER, "node"].iter().chain(labels).map(ToString::to_string).collect();
            catalogue.metrics.insert(name.to_owned(), Metric { labels, ..Metric::default() });
        }
        for (name, labels) in exposition {
            let mut metric = scraped.clone();
            metric.labels.extend(labels.keys().cloned());
            let fixed = labels.iter().filter(|(label, _)| FIXED.contains(&label.as_str()));
            metric.values.extend(fixed.map(|(label, values)| (label.clone(), values.clone())));
            catalogue.metrics.insert(name.clone(), metric);
        }
        catalogue
    }

    /// Adds what the rules record, and the `ALERTS` that they raise.
    pub fn with_rules(mut self, files: &[RuleFile]) -> Self {
        // A rule may use what another records, or its own past: the labels are known once they no longer change.
        loop {
            let before = self.metrics.clone();
            self.add(files);
            if self.metrics == before {
                return self;
            }
        }
    }

    fn add(&mut self, files: &[RuleFile]) {
        for rule in files.iter().flat_map(RuleFile::rules) {
            let Some(record) = &rule.record else { continue };
            let mut labels = promql::check(&rule.expr, self).labels;
            labels.extend(rule.labels.keys().cloned());
            self.metrics.entry(record.clone()).or_default().labels.extend(labels);
        }
        let mut alerts = Metric::default();
        for rule in files.iter().flat_map(RuleFile::rules).filter(|rule| rule.alert.is_some()) {
            alerts.labels.extend(promql::check(&rule.expr, self).labels);
            alerts.labels.extend(rule.labels.keys().cloned());
            alerts.values.entry("alertname".to_owned()).or_default().extend(rule.alert.clone());
        }
        alerts.labels.extend(["alertname".to_owned(), "alertstate".to_owned()]);
        self.metrics.insert("ALERTS".to_owned(), alerts);
    }

    /// The metric of that name.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        // Which metrics Prometheus has about itself differs between its versions.
        self.metrics.get(name).or_else(|| name.starts_with("prometheus_").then_some(&self.own))
    }
}

impl FromIterator<(String, Metric)> for Catalogue {
    fn from_iter<I: IntoIterator<Item = (String, Metric)>>(metrics: I) -> Self {
        Self { metrics: metrics.into_iter().collect(), own: Metric::default() }
    }
}
