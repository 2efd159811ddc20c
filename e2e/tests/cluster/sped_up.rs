//! A Prometheus that scrapes once a second, with rules whose durations are divided by 60, as in a scenario: `for: 15m` takes
//! 15 s.

use std::time::Duration;

use anyhow::Result;
use e2e::client::prometheus::Prometheus;
use e2e::play::speed_up;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use e2e::workspace::rules::{RULES, RuleFile};
use fs_err as fs;
use serde_json::Map;

use crate::variant;

const SPEED: u32 = 60;

/// A patch of Prometheus' configuration, with this cluster's name on alerts and with more scrape jobs.
pub fn config(cluster: &str, jobs: &str) -> Result<String> {
    let shipped = fs::read_to_string(workspace::root().join("kustomize/prometheus/prometheus.yml"))?;
    let global = format!("global:\n  external_labels: {{ cluster: {cluster} }}\n");
    let config = shipped.replace("15s", "1s").replace("global:\n", &global) + jobs;
    Ok(variant::replace("/data/prometheus.yml", config))
}

/// A patch of the rules: the shipped ones and those of more files, sped up.
pub fn rules(more: &[&str]) -> Result<String> {
    let mut files = RuleFile::read_all(&workspace::root().join(RULES))?;
    for file in more {
        files.push(RuleFile::read(&workspace::root().join(file))?);
    }
    let mut data = Map::new();
    for (number, file) in files.iter().enumerate() {
        data.insert(format!("{number}.yml"), speed_up::rules(file, SPEED)?.text.into());
    }
    Ok(variant::replace("/data", data))
}

/// Waits until a query has a result.
pub fn yields(prometheus: &Prometheus, query: &str) -> Result<()> {
    poll::until(query, Duration::from_secs(60), Duration::from_millis(500), || match prometheus.query(query) {
        Ok(samples) if samples.is_empty() => Attempt::NotYet("no result".into()),
        Ok(_) => Attempt::Ready(()),
        Err(error) => Attempt::NotYet(format!("{error:#}")),
    })
}
