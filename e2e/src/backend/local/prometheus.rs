//! The local Prometheus: its configuration, and its start.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use fs_err as fs;
use serde_json::{Value, json};

use super::{free, on_a_free_port};
use crate::backend::Ports;
use crate::client::prometheus::Prometheus;
use crate::process::child::Process;
use crate::run::Run;
use crate::stack::JOB;
use crate::stack::nodes::ITSELF;
use crate::terminal::progress::Progress;
use crate::workspace;
use crate::workspace::description::Endpoint;
use crate::workspace::rules::RuleFile;

/// Its configuration, in its directory.
pub const CONFIG: &str = "prometheus.yml";

/// The rules in the run's directory. Prometheus reads `rule_files` and `file_sd_configs` as patterns: it runs in that
/// directory, and every path in them is relative to it.
const RULES: &str = "rules";

/// The configuration that scrapes one exporter, and Prometheus itself, every second. It is JSON, which is YAML.
///
/// The exporter's target gets the labels that a cluster's scrape configuration gives it: `job`, and the node's name
/// as both `node` and `instance`.
pub fn config(node: &str, exporter: &str) -> Value {
    let target = json!({ "targets": [exporter], "labels": { "node": node, "instance": node } });
    scraping(Duration::from_secs(1), &json!({ "job_name": JOB, "static_configs": [target] }))
}

/// As [`config`], for the exporters that these files name: each target brings its labels.
pub(super) fn discovering(files: &[&str], interval: Duration) -> Value {
    scraping(interval, &json!({ "job_name": JOB, "file_sd_configs": [{ "files": files, "refresh_interval": "5s" }] }))
}

/// As [`config`], for the targets of another program.
pub(super) fn of_targets(job: &str, targets: &[Endpoint], interval: Duration) -> Value {
    let group = |target: &Endpoint| {
        json!({ "targets": [target.address],
            "labels": { "__scheme__": target.scheme, "__metrics_path__": target.path } })
    };
    let groups: Vec<Value> = targets.iter().map(group).collect();
    scraping(interval, &json!({ "job_name": job, "static_configs": groups }))
}

/// The section of a Prometheus that sends its alerts to the Alertmanager with this base address.
pub(super) fn alerting(alertmanager: &str) -> Value {
    json!({ "alertmanagers": [{ "static_configs": [{ "targets": [alertmanager.trim_start_matches("http://")] }] }] })
}

fn scraping(interval: Duration, exporters: &Value) -> Value {
    let interval = format!("{}ms", interval.as_millis());
    json!({
        "global": { "scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval },
        "rule_files": [format!("{RULES}/*.yml"), format!("{RULES}/*.yaml")],
        "scrape_configs": [
            exporters,
            // A file, for the port that Prometheus binds is known only once it runs.
            { "job_name": ITSELF, "file_sd_configs": [{ "files": ["self.json"] }] },
        ],
    })
}

/// Starts Prometheus with these flags and waits until it serves queries; returns its base address.
pub(super) fn start(
    binary: &Path,
    config: &Value,
    rules: &[RuleFile],
    flags: &[String],
    ports: Ports,
    progress: &Progress,
    run: &Run,
) -> Result<(Process, String)> {
    fs::write(run.dir().join(CONFIG), serde_json::to_vec_pretty(config)?)?;
    let folder = run.dir().join(RULES);
    fs::create_dir(&folder)?;
    for rules in rules {
        fs::write(free(&folder, Path::new(&rules.path), &["yml", "yaml"]), rules.for_prometheus())?;
    }
    let (process, address) = launch(binary, run.dir(), ports, progress, flags)?;
    workspace::replace(&run.dir().join("self.json"), json!([{ "targets": [address] }]).to_string())?;
    let base = format!("http://{address}");
    let client = Prometheus::new(&base);
    process.wait_until("ready", Duration::from_secs(30), || client.ready())?;
    Ok((process, base))
}

/// The flags of a Prometheus that receives samples by remote write, and looks back so far for one.
pub fn receiving(lookback: Duration) -> Vec<String> {
    let lookback = format!("--query.lookback-delta={}ms", lookback.as_millis());
    vec!["--web.enable-remote-write-receiver".to_owned(), lookback]
}

/// Starts Prometheus in a directory that holds its configuration, with these flags; returns its address.
pub fn launch(
    binary: &Path,
    dir: &Path,
    ports: Ports,
    progress: &Progress,
    flags: &[String],
) -> Result<(Process, String)> {
    on_a_free_port(ports, 9090, progress, |port| {
        let args = [
            format!("--config.file={CONFIG}"),
            "--storage.tsdb.path=prometheus".to_owned(),
            "--storage.tsdb.retention.time=1d".to_owned(),
            "--storage.tsdb.retention.size=256MB".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let args: Vec<OsString> = args.iter().chain(flags).map(Into::into).collect();
        // Its times are then written as UTC.
        let process = Process::start("prometheus", binary, &args, &[("TZ", "UTC".into())], dir.join("prometheus.log"))?;
        Ok((process, "Listening on"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_scraped_by_its_scheme_and_path() {
        let targets = ["https://app.example/m", ":9100"].map(|text| text.parse().unwrap());
        let job = &of_targets("mine", &targets, Duration::from_millis(1500))["scrape_configs"][0];
        let group = |target: &str, scheme: &str, path: &str| json!({ "targets": [target], "labels": { "__scheme__": scheme, "__metrics_path__": path } });
        let groups = [group("app.example:443", "https", "/m"), group("localhost:9100", "http", "/metrics")];
        assert_eq!(*job, json!({ "job_name": "mine", "static_configs": groups }));
    }
}
