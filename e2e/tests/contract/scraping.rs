//! The labels that are attached to what is scraped: dashboard and rules are written for them. And how often rules are
//! evaluated.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::backend::local::prometheus;
use e2e::stack::JOB;
use e2e::workspace::rules::RULES;
use serde_json::Value;

use crate::catalogue::Labels;
use crate::pages::Page;
use crate::promtool;
use crate::shipped::{self, PROMETHEUS_CONFIG};

/// Each scrape job and the labels that it attaches.
pub type Jobs = BTreeMap<String, Labels>;

/// The configurations that ship, each with where it comes from.
fn configurations() -> Vec<(&'static str, Value)> {
    let lab = "kustomize/components/lab/prometheus.yml";
    let read = |file: &'static str| (file, serde_saphyr::from_str(&shipped::read(file)).unwrap());
    vec![read(PROMETHEUS_CONFIG), read(lab), ("the local lab", prometheus::config("node", "127.0.0.1:1"))]
}

/// The scrape jobs of the Prometheus that the manifests deploy, each with the labels that it attaches.
pub fn jobs() -> Jobs {
    attached(&configurations()[0].1)
}

fn attached(config: &Value) -> Jobs {
    let texts = |value: &Value, field: &str| value[field].as_str().map(str::to_owned);
    let jobs = config["scrape_configs"].as_array().unwrap().iter();
    let labels = |job: &Value| {
        let groups = job["static_configs"].as_array().into_iter().flatten();
        let fixed = groups.filter_map(|group| group["labels"].as_object()).flat_map(|labels| labels.keys().cloned());
        let relabelled = job["relabel_configs"].as_array().into_iter().flatten();
        let own = relabelled.filter_map(|step| texts(step, "target_label"));
        // Prometheus itself attaches these two, and drops what begins with `__` before it stores a sample.
        let all = ["job", "instance"].map(str::to_owned).into_iter().chain(fixed).chain(own);
        all.filter(|label| !label.starts_with("__")).collect::<Labels>()
    };
    jobs.map(|job| (texts(job, "job_name").unwrap(), labels(job))).collect()
}

#[test]
fn every_prometheus_scrapes_the_same_jobs_and_attaches_the_same_labels() {
    let expected: Labels = ["instance", "job", "node"].map(str::to_owned).into();
    for (place, config) in configurations() {
        let mut jobs = attached(&config);
        // Processes have no namespace.
        assert_eq!(jobs.get_mut(JOB).unwrap().remove("namespace"), place != "the local lab", "{place}");
        assert_eq!(jobs[JOB], expected, "{place}: job `{JOB}`");
        assert!(jobs.keys().eq(self::jobs().keys()), "{place}: {:?}", jobs.keys());
    }
}

/// Dashboard and rules are held against the exposition: a step that drops or renames a part of it would go unseen.
#[test]
fn what_is_exposed_is_stored_as_it_is() {
    for (place, config) in configurations() {
        for job in config["scrape_configs"].as_array().unwrap() {
            assert_eq!(job["metric_relabel_configs"], Value::Null, "{place}: job {}", job["job_name"]);
        }
    }
}

#[test]
fn machines_without_kubernetes_get_the_labels_that_the_rules_need() {
    let page = "docs/systemd.md";
    let blocks = Page::read(page.into(), &shipped::read(page)).blocks("yaml");
    let config: Value = serde_saphyr::from_str(&blocks[0]).unwrap();
    let jobs = attached(&config);
    assert_eq!(
        jobs.into_values().collect::<Vec<_>>(),
        [["cluster", "instance", "job", "node"].map(str::to_owned).into()]
    );
    assert_eq!(config["scrape_configs"][0]["static_configs"][0]["labels"]["job"], JOB);
    let directory = tempfile::tempdir().unwrap();
    fs_err::os::unix::fs::symlink(shipped::path(RULES), directory.path().join("rules")).unwrap();
    let file = directory.path().join("prometheus.yml");
    fs_err::write(&file, &blocks[0]).unwrap();
    promtool::run(["check", "config"], vec![file]);
}

/// An alert is late by up to one evaluation.
#[test]
fn every_alert_is_evaluated_several_times_before_it_fires() {
    let duration = |value: &Value| -> Duration { humantime::parse_duration(value.as_str().unwrap()).unwrap() };
    let rules: Vec<Value> = shipped::rules().into_iter().map(|file| file.groups).collect();
    let waits =
        rules.iter().flat_map(|groups| groups.as_array().unwrap()).flat_map(|group| group["rules"].as_array().unwrap());
    let shortest = waits.filter(|rule| !rule["for"].is_null()).map(|rule| duration(&rule["for"])).min().unwrap();
    for (place, config) in configurations() {
        let evaluation = duration(&config["global"]["evaluation_interval"]);
        assert!(evaluation * 4 <= shortest, "{place}: evaluated every {evaluation:?}, and an alert waits {shortest:?}");
    }
}
