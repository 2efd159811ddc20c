//! What is under test: the shipped files, and the exposition that the exporter gives.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::catalogue::{self, Catalogue, Metrics};
use crate::scraping;
use axum::body::Body;
use axum::http::Request;
use e2e::workspace;
use e2e::workspace::dashboard::Dashboard;
use e2e::workspace::rules::RULES;
use e2e::workspace::rules::RuleFile;
use e2e::workspace::variables::{self, Values};
use fs_err as fs;
use http_body_util::BodyExt as _;
use mini_node_exporter::collector;
use mini_node_exporter::http::{ExporterOptions, ExporterState, protected, router};
use mini_node_exporter::web_config::WebConfigWatcher;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::Value;
use tower::ServiceExt as _;

pub use e2e::workspace::dashboard::FILE as DASHBOARD;
pub const DATASOURCES: &str = "grafana/provisioning/datasources/prometheus.yaml";
pub const PROMETHEUS_CONFIG: &str = "kustomize/prometheus/prometheus.yml";
pub const RUNBOOK: &str = "docs/runbook.md";
/// The rules that need kube-state-metrics.
pub const NODE_LEAVING: &str = "kustomize/components/kube-state-metrics/node-leaving.yml";

/// Every metric that a query may use.
pub static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::new(&exposed(), &scraping::jobs()).with_rules(&rules()));

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

/// The files below a folder, without what is hidden and what was built.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type().unwrap().is_dir() {
            files.push(entry.path());
        } else if !name.starts_with('.') && !["target", "dist"].contains(&name.as_str()) {
            files.extend(self::files(&entry.path()));
        }
    }
    files
}

/// A path as it is in the workspace.
pub fn name(path: &Path) -> String {
    path.strip_prefix(workspace::root()).unwrap().display().to_string()
}

pub fn dashboard_json() -> Value {
    serde_json::from_str(&read(DASHBOARD)).unwrap()
}

/// The panels as they stand in the file, those of collapsed rows too.
pub fn panels_json() -> Vec<Value> {
    let top = dashboard_json()["panels"].as_array().unwrap().clone();
    let collapsed: Vec<_> = top.iter().filter_map(|row| row["panels"].as_array()).flatten().cloned().collect();
    top.into_iter().chain(collapsed).collect()
}

/// A query that the dashboard shows.
pub struct Query {
    /// The panel as it stands in the file, or the annotation.
    pub owner: Value,
    /// The panel's id and the query's letter; 0 and empty for an annotation.
    pub key: (u64, String),
    pub expr: String,
    /// Texts that may use the labels of its series.
    pub texts: Vec<String>,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, letter) = &self.key;
        let name = |field: &str| text(&self.owner[field]);
        match id {
            0 => write!(f, "{DASHBOARD}: annotation `{}`", name("name")),
            _ => write!(f, "{DASHBOARD}: panel {id} `{}`, query {letter}", name("title")),
        }
    }
}

/// The queries of panels and annotations, their variables filled in.
pub fn queries(values: &Values) -> Vec<Query> {
    let fill =
        |expr: &Value| variables::fill(expr.as_str().unwrap(), values).unwrap_or_else(|e| panic!("{DASHBOARD}: {e:#}"));
    let mut queries = Vec::new();
    for panel in panels_json() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let key = (panel["id"].as_u64().unwrap(), text(&target["refId"]));
            let (expr, texts) = (fill(&target["expr"]), vec![text(&target["legendFormat"])]);
            queries.push(Query { owner: panel.clone(), key, expr, texts });
        }
    }
    let annotations = dashboard_json()["annotations"]["list"].as_array().unwrap().clone();
    for annotation in annotations.into_iter().filter(|annotation| annotation["expr"].is_string()) {
        let texts = ["titleFormat", "textFormat"].map(|field| text(&annotation[field])).into();
        queries.push(Query { expr: fill(&annotation["expr"]), key: (0, String::new()), texts, owner: annotation });
    }
    queries
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
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

/// The metrics of the exporter as it is built here, every collector on and with TLS, over every fixture tree.
pub fn exposed() -> Metrics {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let web_config = web_config();
    let cases = fs::read_dir(path("fixtures")).unwrap().map(|case| case.unwrap().path().join("proc"));
    let texts = cases.filter(|tree| tree.is_dir()).map(|tree| {
        let config = ExporterOptions {
            procfs: tree.clone(),
            collectors: collector::TABLE.to_vec(),
            ..ExporterOptions::default()
        };
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let body = runtime.block_on(async {
            let answer =
                protected(router(ExporterState::new(config)), Arc::clone(&web_config)).oneshot(request).await.unwrap();
            assert!(answer.status().is_success(), "{}: {}", tree.display(), answer.status());
            answer.into_body().collect().await.unwrap().to_bytes()
        });
        String::from_utf8(body.to_vec()).unwrap()
    });
    catalogue::metrics(&texts.collect::<String>())
}

fn web_config() -> Arc<WebConfigWatcher> {
    let directory = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["node".to_owned()]).unwrap();
    fs::write(directory.path().join("tls.crt"), cert.pem()).unwrap();
    fs::write(directory.path().join("tls.key"), signing_key.serialize_pem()).unwrap();
    let file = directory.path().join("web.yml");
    fs::write(&file, "tls_server_config: {cert_file: tls.crt, key_file: tls.key}").unwrap();
    Arc::new(WebConfigWatcher::load(&file).unwrap())
}
