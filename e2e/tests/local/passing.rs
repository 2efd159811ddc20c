//! Every check passes on what is right.

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::local::Options;
use e2e::checks;
use fs_err as fs;
use serde_json::Value;

use crate::lab::{self, Lab};
use crate::stacks::{Own, passes, samples};

/// The checks that only a Grafana can pass, or a program that is restarted.
const OMITTED: [&str; 4] = ["grafana-healthy", "datasource-healthy", "dashboard-loaded", "labels-stable"];

/// The checks that only an Alertmanager can pass.
const OF_ALERTMANAGER: [&str; 3] = ["alertmanager-ready", "alertmanagers-known", "alerts-delivered"];

/// Whether nothing but exporter and Prometheus leaves a check out.
pub fn is_omitted(name: &str) -> bool {
    OMITTED.contains(&name) || OF_ALERTMANAGER.contains(&name)
}

/// As a person runs it: the exporter is built, Prometheus and Alertmanager are found by `lab` itself.
#[test]
fn every_check_on_the_live_proc() -> Result<()> {
    let lab = Lab::new()?;
    let has_alertmanager = lab::alertmanager().is_some();
    let without: &[_] = if has_alertmanager { &[] } else { &["--without".into(), "alertmanager".into()] };
    let ended = lab.run(&["check", "--format", "json", "--without", "grafana"], without)?.expect_code(0)?;
    let report: Value = serde_json::from_str(&ended.stdout).with_context(|| ended.stdout.clone())?;
    ensure!(report["backend"] == "local", "{report}");
    let checks = report["checks"].as_array().context("no checks")?;
    let names: Vec<_> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    ensure!(names == checks::names().collect::<Vec<_>>(), "{names:?}");
    for check in checks {
        let name = check["name"].as_str().unwrap_or_default();
        let is_omitted = if has_alertmanager { OMITTED.contains(&name) } else { is_omitted(name) };
        ensure!(check["outcome"] == if is_omitted { "omitted" } else { "passed" }, "{check}");
    }
    lab.expect_nothing_left()
}

/// Neither exporter nor harness holds on to what a file said before; and a file that turns bad is told by its name,
/// and takes its sample from Prometheus.
#[test]
fn a_tree_that_changes_is_read_anew() -> Result<()> {
    let lab = Lab::new()?;
    let tree = lab.tree("ordinary-node")?;
    let own = Own::start(Options { procfs: Some(tree.clone()), ..Options::default() })?;
    samples(&own)?;
    fs::write(tree.join("loadavg"), "9.01 8.02 7.03 1/100 4242\n")?;
    fs::write(tree.join("uptime"), "99.5 1.0\n")?;
    let load = passes(&own.local, "load")?;
    ensure!(load.contains("worker-1 9.01 8.02 7.03"), "{load}");
    let uptime = passes(&own.local, "uptime")?;
    ensure!(uptime.contains("worker-1 99.5 s"), "{uptime}");

    fs::write(tree.join("uptime"), "soon\n")?;
    let ready = own.local.stack().exporters[0].ready().unwrap_err().to_string();
    ensure!(ready.contains(&tree.join("uptime").display().to_string()), "{ready}");
    let gone = || own.local.stack().prometheus.query("node_uptime");
    let seconds = std::time::Duration::from_secs;
    e2e::wait::poll::until("node_uptime without a sample", seconds(20), seconds(1) / 5, || match gone() {
        Ok(samples) if samples.is_empty() => e2e::wait::poll::Attempt::Ready(()),
        other => e2e::wait::poll::Attempt::NotYet(format!("{other:?}")),
    })?;
    passes(&own.local, "load")?;
    // Its collector says so, and the other does not.
    for (collector, success) in [("uptime", 0.0), ("load", 1.0)] {
        let query = format!("node_scrape_collector_success{{collector=\"{collector}\"}}");
        let seen = own.local.stack().prometheus.query(&query)?;
        ensure!(seen.len() == 1 && seen[0].value.total_cmp(&success).is_eq(), "{collector}: {seen:?}");
    }
    Ok(())
}
