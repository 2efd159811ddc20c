//! What is under test: the shipped files, and the exposition that the exporter gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::catalogue::Catalogue;
use crate::scrape::{self, Jobs};
use axum::body::Body;
use axum::http::Request;
use e2e::backend::local;
use e2e::client::exposition;
use e2e::stack::JOB;
use e2e::workspace;
use e2e::workspace::dashboard::Dashboard;
use e2e::workspace::rules::RULES;
use e2e::workspace::rules::RuleFile;
use http_body_util::BodyExt as _;
use mini_node_exporter::collector;
use mini_node_exporter::http::{Config, State, router};
use tower::ServiceExt as _;

pub use e2e::workspace::dashboard::FILE as DASHBOARD;
pub const DATASOURCES: &str = "grafana/provisioning/datasources/prometheus.yaml";
pub const PROMETHEUS_CONFIG: &str = "kustomize/prometheus/prometheus.yml";
pub const RUNBOOK: &str = "docs/runbook.md";
/// The rules that need kube-state-metrics.
pub const NODE_LEAVING: &str = "kustomize/components/kube-state-metrics/node-leaving.yml";

/// Every metric that a query may use.
pub static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::new(&exposed(), &cluster_jobs()).with_rules(&rules()));

/// A path in the workspace.
pub fn path(name: &str) -> PathBuf {
    workspace::root().join(name)
}

pub fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn dashboard() -> Dashboard {
    Dashboard::read(&path(DASHBOARD)).unwrap()
}

/// A path as it is in the workspace.
pub fn name(path: &Path) -> String {
    path.strip_prefix(workspace::root()).unwrap().display().to_string()
}

pub fn dashboard_json() -> serde_json::Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// The panels as they stand in the file, those of collapsed rows too.
pub fn panels_json() -> Vec<serde_json::Value> {
    let top = dashboard_json()["panels"].as_array().unwrap().clone();
    let collapsed: Vec<_> = top.iter().filter_map(|row| row["panels"].as_array()).flatten().cloned().collect();
    top.into_iter().chain(collapsed).collect()
}

/// Every rule file, each after those whose records it uses.
pub fn rules() -> Vec<RuleFile> {
    [vec![node_leaving()], always_loaded()].concat()
}

/// The rule files that need nothing but the exporter.
pub fn always_loaded() -> Vec<RuleFile> {
    let mut files = RuleFile::read_all(&path(RULES)).unwrap();
    for file in &mut files {
        file.path = name(Path::new(&file.path));
    }
    files
}

pub fn node_leaving() -> RuleFile {
    RuleFile::parse(NODE_LEAVING, &read(NODE_LEAVING)).unwrap()
}

/// The scrape jobs of the Prometheus that the manifests deploy.
pub fn cluster_jobs() -> Jobs {
    jobs(PROMETHEUS_CONFIG, &read(PROMETHEUS_CONFIG))
}

/// The scrape jobs of the local lab's Prometheus.
pub fn local_jobs() -> Jobs {
    jobs("the local lab's prometheus.yml", &local::prometheus::config("node", "127.0.0.1:1").to_string())
}

/// The jobs of a configuration; the exporters' is among them, or no query means anything.
fn jobs(place: &str, config: &str) -> Jobs {
    let jobs = scrape::jobs(config).unwrap_or_else(|error| panic!("{place}: {error:#}"));
    assert!(jobs.contains_key(JOB), "{place}: no scrape job `{JOB}`");
    jobs
}

/// The metrics of the exporter as it is built here, every collector on, over every fixture tree.
pub fn exposed() -> exposition::Metrics {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let cases = fs::read_dir(path("fixtures")).unwrap().map(|case| case.unwrap().path().join("proc"));
    let samples = cases.filter(|tree| tree.is_dir()).flat_map(|tree| {
        let config = Config { procfs: tree.clone(), collectors: collector::TABLE.to_vec(), ..Config::default() };
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let body = runtime.block_on(async {
            let answer = router(State::new(config)).oneshot(request).await.unwrap();
            assert!(answer.status().is_success(), "{}: {}", tree.display(), answer.status());
            answer.into_body().collect().await.unwrap().to_bytes()
        });
        exposition::parse(std::str::from_utf8(&body).unwrap()).unwrap()
    });
    exposition::metrics(&samples.collect::<Vec<_>>())
}
