//! Which labels a Prometheus configuration attaches to what it scrapes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::catalogue::Labels;

/// Each scrape job and the labels that it attaches.
pub type Jobs = BTreeMap<String, Labels>;

/// Reads the scrape jobs of a `prometheus.yml`.
pub fn jobs(config: &str) -> Result<Jobs> {
    let config: Config = serde_saphyr::from_str(config).context("not a Prometheus configuration")?;
    config
        .scrape_configs
        .into_iter()
        .map(|job| Ok((job.name.clone(), job.attached().with_context(|| format!("job `{}`", job.name))?)))
        .collect()
}

#[derive(Deserialize)]
struct Config {
    scrape_configs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    #[serde(rename = "job_name")]
    name: String,
    #[serde(default)]
    static_configs: Vec<StaticConfig>,
    #[serde(default)]
    relabel_configs: Vec<Relabel>,
    #[serde(default)]
    metric_relabel_configs: Vec<Relabel>,
}

#[derive(Deserialize)]
struct StaticConfig {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Relabel {
    #[serde(default = "replace")]
    action: String,
    target_label: Option<String>,
}

fn replace() -> String {
    "replace".to_owned()
}

impl Job {
    fn attached(&self) -> Result<Labels> {
        // Prometheus itself attaches these two, whatever is configured.
        let mut labels = Labels::from(["job".to_owned(), "instance".to_owned()]);
        let mut groups = self.static_configs.iter().map(|group| group.labels.keys().cloned().collect::<Labels>());
        if let Some(first) = groups.next() {
            ensure!(groups.all(|other| other == first), "its targets differ in their labels");
            labels.extend(first);
        }
        for relabel in self.relabel_configs.iter().chain(&self.metric_relabel_configs) {
            match relabel.action.as_str() {
                "keep" | "drop" | "keepequal" | "dropequal" => {}
                "replace" | "hashmod" | "lowercase" | "uppercase" => labels.extend(relabel.target_label.clone()),
                other => bail!("the relabel action `{other}` is not understood here"),
            }
        }
        // These Prometheus drops before it stores a sample.
        labels.retain(|label| !label.starts_with("__"));
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_and_relabelled_labels_are_found_and_hidden_ones_are_not() {
        let jobs = jobs(
            "scrape_configs:
  - job_name: a
    static_configs:
      - {targets: [x], labels: {node: x, __metrics_path__: /m}}
      - {targets: [y], labels: {node: y, __metrics_path__: /n}}
  - job_name: b
    kubernetes_sd_configs: [{role: pod}]
    relabel_configs:
      - {action: keep, source_labels: [__meta_x], regex: y}
      - {source_labels: [__meta_node], target_label: node}
      - {target_label: __scheme__, replacement: https}
",
        )
        .unwrap();
        let labels = |job: &str| jobs[job].iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!((labels("a"), labels("b")), ("instance job node".into(), "instance job node".into()));
    }

    #[test]
    fn what_cannot_be_known_is_an_error() {
        let text = "scrape_configs: [{job_name: a, relabel_configs: [{action: labelmap, regex: x}]}]";
        assert_eq!(
            format!("{:#}", jobs(text).unwrap_err()),
            "job `a`: the relabel action `labelmap` is not understood here"
        );
        let text = "scrape_configs: [{job_name: a, static_configs: [{labels: {node: x}}, {labels: {}}]}]";
        assert_eq!(format!("{:#}", jobs(text).unwrap_err()), "job `a`: its targets differ in their labels");
    }
}
