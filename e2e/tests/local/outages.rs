//! What the dashboard shows in the partial outages of a long night: every panel is asked on a real Prometheus, which scrapes
//! known series and evaluates the shipped rules, at 300 times the speed.

use std::collections::BTreeSet;
use std::future::ready;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::routing::get;
use e2e::client::prometheus::{Prometheus, Sample};
use e2e::play::speed_up;
use e2e::process::child::Process;
use e2e::stack::JOB;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use e2e::workspace::dashboard::{self, Dashboard};
use e2e::workspace::rules::{RULES, RuleFile};
use e2e::workspace::variables;
use fs_err as fs;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lab;
use crate::serve::serve;

const SPEED: u32 = 300;
/// A minute of the night: Prometheus scrapes and evaluates once in each.
const MINUTE: Duration = Duration::from_millis(200);

/// The minute in which nodes are lost, and the one after which the panels are asked: the memory of an hour is over.
const LOST: u32 = 10;
const ASKED: u32 = 100;
const NEVER: u32 = u32::MAX;

/// The panel that counts what the nodes that answer report: its 0 is known.
const FAILING_COLLECTORS: u64 = 19;

#[test]
fn nine_of_ten_targets_leave_discovery() -> Result<()> {
    let nodes = (0..10).map(|node| Node::new("", node, if node == 0 { NEVER } else { LOST }));
    expect(nodes.collect(), [1.0, 10.0, 9.0], &["NodesDown"])
}

#[test]
fn a_pod_is_pending_and_its_node_object_is_there() -> Result<()> {
    let nodes = [(0, NEVER), (1, LOST)].map(|(node, lost)| Node::new("", node, lost).with_object(NEVER));
    expect(nodes.into(), [1.0, 2.0, 1.0], &["NodeNotScraped"])
}

#[test]
fn one_of_two_clusters_is_lost_whole() -> Result<()> {
    let nodes = [("eu", 0, LOST), ("eu", 1, LOST), ("us", 0, NEVER)];
    let nodes = nodes.map(|(cluster, node, lost)| Node::new(cluster, node, lost).with_object(lost));
    expect(nodes.into(), [1.0, 3.0, 2.0], &["Absent", "NodeNotScraped"])
}

/// promtool evaluates every group at once; here the memory of a node's CPUs is up to five minutes late.
#[test]
fn the_first_threshold_of_a_node_is_that_of_its_cpus() -> Result<()> {
    let nodes = (0..5).map(|node| Node { here: 5 + node..NEVER, ..Node::new("", node, NEVER) }.with_object(NEVER));
    let night = Night::begin(nodes.collect())?;
    night.until(15, || {
        let lowest = night.prometheus.query("min_over_time(node:node_load:threshold[1m])")?;
        ensure!(lowest.len() == 5 && lowest.iter().all(|lowest| lowest.value > 95.0), "{lowest:?}");
        Ok(())
    })
}

/// Asks every panel: the tiles show this many nodes up, expected and down, and these alerts; nothing is green or 0 that is
/// not known to be.
fn expect(nodes: Vec<Node>, counts: [f64; 3], alerts: &[&str]) -> Result<()> {
    let lost = nodes.iter().filter(|node| node.here.end == LOST).map(|node| (node.cluster, node.name.clone()));
    let (lost, panels) = (lost.collect(), panels()?);
    let night = Night::begin(nodes)?;
    night.until(ASKED, || {
        let answers = |id: u64| {
            let panel = panels.iter().find(|panel| panel["id"] == id).context("no such panel")?;
            night.prometheus.query(&exprs(panel)?[0])
        };
        for (id, count) in [2, 27, 3].into_iter().zip(counts) {
            let values: Vec<f64> = answers(id)?.iter().map(|sample| sample.value).collect();
            ensure!(values == [count], "panel {id} shows {values:?} and not {count}");
        }
        let firing: BTreeSet<String> = answers(5)?.iter().map(|alert| alert.label("alertname").to_owned()).collect();
        let expected = alerts.iter().map(|name| format!("MiniNodeExporter{name}")).collect();
        ensure!(firing == expected, "these fire: {firing:?}; expected {expected:?}");
        panels.iter().try_for_each(|panel| tells_the_truth(panel, &night.prometheus, &lost))
    })
}

/// Fails where a panel shows green or 0 for all nodes, or green for one of those that are lost.
fn tells_the_truth(panel: &Value, prometheus: &Prometheus, lost: &BTreeSet<(&str, String)>) -> Result<()> {
    for expr in exprs(panel)? {
        let samples = prometheus.query(&expr)?;
        let shown = format!("panel {} {}: `{expr}` returns {samples:?}", panel["id"], panel["title"]);
        ensure!(!samples.is_empty(), "{shown}");
        for sample in &samples {
            let of_a_node = !sample.label("node").is_empty();
            let is_lost = lost.contains(&(sample.label("cluster"), sample.label("node").to_owned()));
            if is_lost || !of_a_node {
                ensure!(color(panel, sample) != "green", "green: {shown}");
            }
            ensure!(of_a_node || sample.value != 0.0 || panel["id"] == FAILING_COLLECTORS, "0: {shown}");
        }
    }
    Ok(())
}

/// The colour in which a panel shows a sample.
fn color(panel: &Value, sample: &Sample) -> String {
    let defaults = &panel["fieldConfig"]["defaults"];
    let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    // In the table the column of the state has mappings of its own.
    let properties = overrides.flat_map(|it| it["properties"].as_array().into_iter().flatten());
    let own =
        properties.filter(|it| it["id"] == "mappings").flat_map(|it| it["value"].as_array().into_iter().flatten());
    let mut mappings = defaults["mappings"].as_array().into_iter().flatten().chain(own);
    let value = sample.value.to_string();
    let mapped = mappings.find_map(|mapping| mapping["options"][&value]["color"].as_str());
    let mut steps = defaults["thresholds"]["steps"].as_array().into_iter().flatten();
    let step = steps.rfind(|step| step["value"].as_f64().is_none_or(|from| from <= sample.value));
    let color = match (defaults["color"]["mode"].as_str(), mapped) {
        (_, Some(mapped)) => Some(mapped),
        (Some("thresholds"), None) => step.and_then(|step| step["color"].as_str()),
        (Some("fixed"), None) => defaults["color"]["fixedColor"].as_str(),
        _ => None,
    };
    color.unwrap_or_default().to_owned()
}

/// The dashboard's panels as they stand in the file, those of collapsed rows too.
fn panels() -> Result<Vec<Value>> {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(workspace::root().join(dashboard::FILE))?)?;
    let top = dashboard["panels"].as_array().context("no panels")?.clone();
    let inner: Vec<Value> = top.iter().filter_map(|row| row["panels"].as_array()).flatten().cloned().collect();
    Ok(top.into_iter().chain(inner).filter(|panel| panel["type"] != "row").collect())
}

/// A panel's queries, their variables filled in.
fn exprs(panel: &Value) -> Result<Vec<String>> {
    let mut values = Dashboard::read(&workspace::root().join(dashboard::FILE))?.values();
    for (name, minutes) in [("__range", 60), ("__interval", 1), ("__rate_interval", 5)] {
        values.insert(name.to_owned(), format!("{}ms", (minutes * MINUTE).as_millis()));
    }
    let targets = panel["targets"].as_array().into_iter().flatten();
    targets.map(|target| variables::fill(target["expr"].as_str().context("no query")?, &values)).collect()
}

/// A node that is scraped in some minutes.
struct Node {
    cluster: &'static str,
    name: String,
    here: Range<u32>,
    /// Until when kube-state-metrics knows it, if it ever does.
    object: Option<u32>,
}

impl Node {
    fn new(cluster: &'static str, number: u32, lost: u32) -> Self {
        Self { cluster, name: format!("n{number}"), here: 0..lost, object: None }
    }

    fn with_object(self, until: u32) -> Self {
        Self { object: Some(until), ..self }
    }

    /// What Prometheus has of it in a minute.
    fn exposition(&self, minute: u32) -> String {
        let Self { cluster, name, here, object } = self;
        let scraped = [
            ("up", "", 1.0),
            ("node_uptime", "", f64::from(86_400 + 60 * minute)),
            ("node_load", ", duration=\"1m\"", 0.5),
            ("node_load", ", duration=\"5m\"", 0.5),
            ("node_load", ", duration=\"15m\"", 0.5),
            ("node_scrape_collector_success", ", collector=\"load\"", 1.0),
            ("node_scrape_collector_duration_seconds", ", collector=\"load\"", 0.001),
            ("mini_node_exporter_build_info", ", version=\"1\", revision=\"r\"", 1.0),
            ("scrape_duration_seconds", "", 0.001),
            ("process_resident_memory_bytes", "", 2e6),
            ("process_cpu_seconds_total", "", f64::from(minute)),
        ];
        let known = [("kube_node_info", "", 1.0), ("kube_node_status_capacity", ", resource=\"cpu\"", 64.0)];
        let line = |job: &str, (metric, more, value): (&str, &str, f64)| {
            let instance = if job == JOB { name } else { "" };
            let of = format!("job=\"{job}\", cluster=\"{cluster}\", node=\"{name}\", instance=\"{instance}\"");
            format!("{metric}{{{of}{more}}} {value}\n")
        };
        let is_known = object.is_some_and(|until| (here.start..until).contains(&minute));
        let scraped = scraped.into_iter().filter(|_| here.contains(&minute)).map(|it| line(JOB, it));
        let known = known.into_iter().filter(|_| is_known).map(|it| line("kube-state-metrics", it));
        scraped.chain(known).collect()
    }
}

/// A Prometheus that sees the night pass.
struct Night {
    prometheus: Prometheus,
    /// The first scrape.
    began: Arc<OnceLock<Instant>>,
    _process: Process,
    _dir: TempDir,
}

impl Night {
    fn begin(nodes: Vec<Node>) -> Result<Self> {
        lab::begin()?;
        let dir = tempfile::tempdir()?;
        let (nodes, began): (Arc<[Node]>, Arc<OnceLock<Instant>>) = (nodes.into(), Arc::default());
        let first_scrape = Arc::clone(&began);
        let exposition = move || {
            let now = minute(*first_scrape.get_or_init(Instant::now));
            nodes.iter().map(|node| node.exposition(now)).collect::<String>()
        };
        let base = serve(Router::new().route("/metrics", get(move || ready(exposition()))));
        let address = base.trim_start_matches("http://");

        let leaving = workspace::root().join("kustomize/components/kube-state-metrics/node-leaving.yml");
        let leaving = RuleFile::parse("node-leaving.yml", &fs::read_to_string(leaving)?)?;
        let mut rules = RuleFile::read_all(&workspace::root().join(RULES))?;
        rules.push(leaving);
        for (index, file) in rules.iter().enumerate() {
            fs::write(dir.path().join(format!("{index}.rules.yml")), speed_up::rules(file, SPEED)?.text)?;
        }
        let interval = format!("{}ms", MINUTE.as_millis());
        let config = json!({
            "global": { "scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval },
            "rule_files": ["*.rules.yml"],
            "scrape_configs": [
                { "job_name": "night", "honor_labels": true, "static_configs": [{ "targets": [address] }] }
            ],
        });
        fs::write(dir.path().join("prometheus.yml"), config.to_string())?;
        let args = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
            "--query.lookback-delta=1s",
        ];
        let log = dir.path().join("prometheus.log");
        let process = Process::start("prometheus", &lab::prometheus()?, &args.map(Into::into), &[], log)?;
        let address = process.wait_for_line("Listening on", Duration::from_secs(30), |line| {
            let after = line.contains("Listening on").then(|| line.split_once("address="))??.1;
            after.split_whitespace().next().map(str::to_owned)
        })?;
        Ok(Self { prometheus: Prometheus::new(format!("http://{address}")), began, _process: process, _dir: dir })
    }

    /// Looks from a minute on, until it is so.
    fn until(&self, wanted: u32, look: impl Fn() -> Result<()>) -> Result<()> {
        let limit = wanted * MINUTE + Duration::from_secs(30);
        poll::until("the night's answers", limit, MINUTE, || {
            let now = self.began.get().map_or(0, |began| minute(*began));
            if now < wanted {
                return Attempt::NotYet(format!("minute {now}"));
            }
            look().map_or_else(|seen| Attempt::NotYet(format!("{seen:#}")), Attempt::Ready)
        })
    }
}

fn minute(began: Instant) -> u32 {
    u32::try_from(began.elapsed().as_millis() / MINUTE.as_millis()).unwrap_or(NEVER)
}
