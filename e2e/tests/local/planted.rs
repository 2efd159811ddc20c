//! The harness is worth what it catches: faults that people really make, with exactly those checks that fail and a text
//! that the report must hold. Faults of a scrape job share one Prometheus, each as a job of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::get;
use e2e::backend::Backend as _;
use e2e::backend::local::{Options, alertmanager};
use e2e::checks::report::CheckReport;
use e2e::checks::{self, Choice, Subject};
use e2e::client::alertmanager::{Alertmanager, Delivery, Pages};
use e2e::client::http::Server;
use e2e::process::command::Cmd;
use e2e::stack::Part;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace::description::{CommandLine, Endpoint};
use e2e::workspace::project::Project;
use e2e::workspace::root;
use e2e::workspace::rules::RuleFile;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::lab::Lab;
use crate::serve::serve;
use crate::stacks::{Altered, Own};

/// The checks of what is scraped, which can be made of one job among several.
const OF_A_JOB: [&str; 6] = ["targets-up", "exposition-lints", "one-target-per-node", "node-labels", "uptime", "load"];

/// The checks that fail when no sample arrives.
const NO_SAMPLES: &[&str] = &["targets-up", "node-labels", "uptime", "load"];

/// A change of the exporter's scrape job.
type JobFault = Fault<fn(&mut Value)>;

const FAULTS_OF_A_JOB: &[(&str, JobFault)] = &[
    (
        "a port without a listener",
        Fault {
            plant: |job| target(job)["targets"] = json!(["127.0.0.1:1"]),
            fails: NO_SAMPLES,
            says: "http://127.0.0.1:1/metrics with node=\"worker-1\" is down",
        },
    ),
    (
        "a wrong scrape path",
        Fault {
            plant: |job| job["metrics_path"] = json!("/metric"),
            fails: &["targets-up", "exposition-lints", "node-labels", "uptime", "load"],
            says: "404",
        },
    ),
    (
        "a scrape interval of five minutes",
        Fault {
            plant: |job| job["scrape_interval"] = json!("5m"),
            fails: NO_SAMPLES,
            says: "is unknown (its scrape interval is 5m)",
        },
    ),
    (
        "a relabelling that drops every target",
        Fault {
            plant: |job| {
                job["relabel_configs"] = json!([{ "source_labels": ["node"], "regex": "other", "action": "keep" }]);
            },
            fails: &OF_A_JOB,
            says: "finds 1, and its relabelling drops them all",
        },
    ),
    (
        "two targets for a node",
        Fault {
            plant: |job| {
                let targets = &mut target(job)["targets"];
                let second = targets[0].as_str().unwrap_or_default().replace("127.0.0.1", "localhost");
                *targets = json!([targets[0], second]);
            },
            fails: &["one-target-per-node"],
            says: "worker-1 has 2 targets",
        },
    ),
    (
        "no node label",
        Fault {
            plant: |job| drop(labels(job).remove("node")),
            fails: &["targets-up", "one-target-per-node", "node-labels", "uptime", "load"],
            says: "no target with a label `node` for worker-1",
        },
    ),
    (
        "an address as instance",
        Fault {
            plant: |job| drop(labels(job).remove("instance")),
            fails: &["node-labels"],
            says: "expected the node's name",
        },
    ),
    (
        "a pod label",
        Fault {
            plant: |job| drop(labels(job).insert("pod".into(), json!("mini-node-exporter-x7k2p"))),
            fails: &["node-labels"],
            says: "has a label `pod`: its series ends at each roll-out",
        },
    ),
    (
        "a metric renamed",
        Fault {
            plant: |job| {
                let (name, to) = (["__name__"], "node_uptime_seconds");
                let rule = json!({ "source_labels": name, "regex": "node_uptime", "target_label": name[0], "replacement": to });
                job["metric_relabel_configs"] = json!([rule]);
            },
            fails: &["node-labels", "uptime"],
            says: "no sample of `node_uptime` from worker-1",
        },
    ),
    (
        "a duration dropped",
        Fault {
            plant: |job| {
                job["metric_relabel_configs"] =
                    json!([{ "source_labels": ["duration"], "regex": "15m", "action": "drop" }]);
            },
            fails: &["load"],
            says: "node_load of worker-1 has durations [\"1m\", \"5m\"]",
        },
    ),
    (
        "a counter without its suffix",
        Fault {
            plant: |job| target(job)["targets"] = json!([badly_named()]),
            fails: &["exposition-lints", "node-labels", "uptime", "load"],
            says: "counter metrics should have \"_total\" suffix",
        },
    ),
];

/// One Prometheus that scrapes with every fault, and has a rule that fails.
#[test]
fn faults_of_a_scrape_job_fail_the_right_checks() -> Result<()> {
    let own = Arc::new(Own::with_config(|config| {
        config["rule_files"] = json!(["rules/*.yml", rules("failing")]);
        let right = config["scrape_configs"][0].clone();
        for (name, fault) in FAULTS_OF_A_JOB {
            let mut job = right.clone();
            job["job_name"] = json!(name);
            (fault.plant)(&mut job);
            config["scrape_configs"].as_array_mut().expect("a list").push(job);
        }
    })?);
    let shipped = Project::shipped()?;
    for (name, fault) in FAULTS_OF_A_JOB {
        let altered = Altered::of(Arc::clone(&own), |stack| {
            stack.job = (*name).to_owned();
            stack.own = false;
            // Their targets are asked instead.
            stack.exporters.clear();
        });
        let subject = Subject { backend: &altered, project: &shipped };
        is_seen(fault, || checks::run(subject, &Choice::only(&OF_A_JOB), |_| {}))
            .with_context(|| (*name).to_owned())?;
    }
    // Under another job the exporter is known by its metrics.
    let lab = Lab::new()?;
    let base = own.local.stack().prometheus.base();
    let job = ["--job", "an address as instance", "--only", "one-target-per-node"];
    lab.run(&[&["check", "--prometheus", base], &job[..]].concat(), &[])?.expect_code(0)?;
    let failing = Fault { plant: (), fails: &["rules-healthy"], says: "rule `broken:evaluation` is err" };
    let altered = Altered::of(own, |_| ());
    let subject = Subject { backend: &altered, project: &shipped };
    is_seen(&failing, || checks::run(subject, &Choice::only(&["rules-healthy"]), |_| {}))
}

#[test]
fn an_exporter_that_is_frozen_fails_every_check_of_samples() -> Result<()> {
    let own = Arc::new(Own::with_config(|_| ())?);
    own.local.exporter().context("no exporter")?.signal(Signal::STOP);
    let fault = Fault {
        plant: (),
        fails: &[
            "exporter-ready",
            "targets-up",
            "node-labels",
            "uptime",
            "load",
            "rules-find-series",
            "panels-have-data",
        ],
        says: "is down (Get \"http://127.0.0.1:",
    };
    let (altered, shipped) = (Altered::of(own, |_| ()), Project::shipped()?);
    is_seen(&fault, || checks::run(Subject { backend: &altered, project: &shipped }, &Choice::default(), |_| {}))
}

#[test]
fn a_wrong_query_of_the_dashboard_is_named() -> Result<()> {
    let altered = Altered::shared(|_| ())?;
    let text = fs_err::read_to_string(root().join(e2e::workspace::dashboard::FILE))?;
    for (wrong, says) in [("node_lod{", "no samples: panel"), ("node_load{{", "parse error")] {
        let mut shipped = Project::shipped()?;
        shipped.dashboards = vec![serde_json::from_str(&text.replacen("node_load{", wrong, 1))?];
        let fault = Fault { plant: (), fails: &["panels-have-data"], says };
        is_seen(&fault, || checks::run(Subject { backend: &altered, project: &shipped }, &Choice::default(), |_| {}))?;
    }
    Ok(())
}

#[test]
fn a_rule_that_finds_no_series_and_a_range_that_is_too_short_are_named() -> Result<()> {
    let altered = Altered::shared(|_| ())?;
    for (expr, fails, says) in [
        ("node_lod > 1", &["rules-find-series"][..], "no metric `node_lod`; the nearest is `node_load`"),
        ("rate(process_cpu_seconds_total[1s]) > 1", &["windows-fit"], "1s with a sample every 1s; use 4s or more"),
    ] {
        let mut project = Project::shipped()?;
        let rules = json!({ "groups": [{ "name": "g", "rules": [{ "alert": "Planted", "expr": expr }] }] });
        project.rules.push(RuleFile::parse("planted.yml", &rules.to_string())?);
        let fault = Fault { plant: (), fails, says };
        // Prometheus has not loaded that rule.
        let choice = Choice { skip: vec!["rules-healthy".to_owned()], ..Choice::default() };
        is_seen(&fault, || checks::run(Subject { backend: &altered, project: &project }, &choice, |_| {}))?;
    }
    Ok(())
}

/// The small exporter in `fixtures/exporter`, whose process id is made a label.
#[test]
fn a_label_that_changes_at_a_restart_is_named() -> Result<()> {
    let (dir, address) = (tempfile::tempdir()?, TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string());
    let source = fs_err::read_to_string(root().join("fixtures/exporter/shop.rs"))?;
    let planted = source.replace(r#"{{item=\"tea\"}} {}", "#, r#"{{item=\"{}\"}} {}", std::process::id(), "#);
    fs_err::write(dir.path().join("shop.rs"), planted)?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Cmd::new(rustc).arg("shop.rs").dir(dir.path()).limit(Duration::from_secs(120)).run()?;
    let target = Endpoint { scheme: "http".into(), address: address.clone(), path: "/metrics".into() };
    let command = CommandLine { program: dir.path().join("shop"), args: vec![address], dir: dir.path().into() };
    let project = Project { job: "shop".into(), targets: vec![target], command: Some(command), ..Project::default() };
    let own = Own::start(Options { project: project.clone(), ..Options::default() })?;
    let fault = Fault { plant: (), fails: &["labels-stable"], says: "`item` of shop_stock_items, such as from `" };
    let reports = checks::run(Subject { backend: &own.local, project: &project }, &Choice::default(), |_| {});
    fault.is_seen_in(&reports)
}

type ConfigFault = Fault<fn(&mut Value)>;

/// Of an Alertmanager's configuration. The last one makes requests fail, which are counted.
const FAULTS_OF_ALERTMANAGER: &[(&str, ConfigFault)] = &[
    (
        "a route to a receiver that is made of nothing",
        Fault {
            plant: |config| {
                config["route"]["receiver"] = json!("nobody");
                config["receivers"].as_array_mut().expect("a list").push(json!({ "name": "nobody" }));
            },
            fails: &["alerts-delivered"],
            says: "its route leads to the receiver `nobody`; no request to a receiver failed",
        },
    ),
    (
        "an inhibition dropped",
        Fault {
            plant: |config| drop(config["inhibit_rules"].as_array_mut().expect("a list").remove(0)),
            fails: &["alerts-delivered"],
            says: "MiniNodeExporterTargetDown is delivered beside MiniNodeExporterNodesDown",
        },
    ),
    (
        "a receiver that is down",
        Fault {
            plant: |config| config["receivers"][0]["webhook_configs"][0]["url"] = json!("http://127.0.0.1:1/"),
            fails: &["alerts-delivered"],
            says: "its route leads to the receiver `pages`; ",
        },
    ),
];

#[test]
fn what_keeps_an_alert_from_people_is_named() -> Result<()> {
    let Some(own) = Own::with_alertmanager()? else { return Ok(()) };
    let (stack, shipped, dir) = (own.local.stack(), Project::shipped()?, own.local.run().dir());
    let of_alerts = Choice::only(&["rules-healthy", "alertmanager-ready", "alertmanagers-known", "alerts-delivered"]);
    let run = || checks::run(Subject { backend: &own.local, project: &shipped }, &of_alerts, |_| {});
    let alertmanager = stack.alertmanager.here().and_then(Option::as_ref).context("no Alertmanager")?;
    let file = dir.join(alertmanager::CONFIG);
    let right: Value = serde_json::from_slice(&fs_err::read(&file)?)?;
    let reload = |config: &Value| -> Result<()> {
        fs_err::write(&file, config.to_string())?;
        Server::new(alertmanager.base()).post("/-/reload", &Value::Null)?.text()?;
        Ok(())
    };
    for (name, fault) in FAULTS_OF_ALERTMANAGER {
        let mut config = right.clone();
        (fault.plant)(&mut config);
        reload(&config)?;
        fault.is_seen_in(&run()).with_context(|| (*name).to_owned())?;
    }
    reload(&right)?;
    own.edit_prometheus(|config| drop(config.as_object_mut().map(|config| config.remove("alerting"))))?;
    let fault = Fault { plant: (), fails: &["alertmanagers-known"], says: "Prometheus has found none" };
    is_seen(&fault, run)
}

#[test]
fn an_alertmanager_that_is_down_fails_every_check_of_it() -> Result<()> {
    let nowhere = Alertmanager::new("http://127.0.0.1:1", Delivery::Lab(Pages::default()));
    let altered = Altered::shared(|stack| stack.alertmanager = Part::Here(Some(nowhere)))?;
    let fails = &["alertmanager-ready", "alertmanagers-known", "alerts-delivered"];
    let fault = Fault { plant: (), fails, says: "GET http://127.0.0.1:1/-/ready: io: Connection refused" };
    let shipped = Project::shipped()?;
    is_seen(&fault, || checks::run(Subject { backend: &altered, project: &shipped }, &Choice::only(fails), |_| {}))
}

/// Serves an exposition of which promtool has something to say; returns its address.
fn badly_named() -> &'static str {
    static ADDRESS: LazyLock<String> = LazyLock::new(|| {
        let text = "# HELP requests Requests.\n# TYPE requests counter\nrequests 1\n";
        let answer = move || async move { ([("content-type", "text/plain; version=0.0.4")], text).into_response() };
        serve(Router::new().route("/metrics", get(answer))).trim_start_matches("http://").to_owned()
    });
    &ADDRESS
}

/// Waits until the fault is seen: each check looks only once, and the first scrapes may be under way.
fn is_seen<Plant>(fault: &Fault<Plant>, run: impl Fn() -> Vec<CheckReport>) -> Result<()> {
    poll::until("exactly these failures", Duration::from_secs(30), Duration::from_millis(200), || {
        match fault.is_seen_in(&run()) {
            Ok(()) => Attempt::Ready(()),
            Err(seen) => Attempt::NotYet(format!("{seen:#}")),
        }
    })
}

/// The one target of a job.
fn target(job: &mut Value) -> &mut Value {
    &mut job["static_configs"][0]
}

fn labels(job: &mut Value) -> &mut serde_json::Map<String, Value> {
    target(job)["labels"].as_object_mut().expect("the exporter's target has labels")
}

fn rules(name: &str) -> PathBuf {
    root().join(format!("e2e/tests/local/rules/{name}.yml"))
}
