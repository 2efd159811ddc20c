//! Pods that are deleted, containers that are killed, nodes that stop.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend;
use e2e::backend::kind::{Kind, rollout};
use e2e::docker::docker;
use e2e::stack::JOB;
use e2e::wait::poll::{self, Attempt};

use crate::kubernetes::{EXPORTER, PROMETHEUS, pods};
use crate::values::every_check_passes;

pub fn a_deleted_pod_s_successor_is_scraped_within_30_s(kind: &mut Kind) -> Result<()> {
    let node = worker(kind)?;
    let pod = pods(&kind.cluster.kubectl, EXPORTER)?
        .into_iter()
        .find(|pod| pod.spec.node_name == node)
        .context("no exporter there")?;
    let before = start_time(kind, &node)?.context("it has not been scraped")?;
    kind.cluster.kubectl.command(["delete", "pod", &pod.metadata.name, "--wait=false"]).run()?;
    scraped_anew(kind, &node, before, Duration::from_secs(30))
}

pub fn a_killed_container_is_scraped_within_10_s(kind: &mut Kind) -> Result<()> {
    // The exporter is found by its program: the node's image need not have any tool for it.
    const KILL: &str = r#"for exe in /proc/[0-9]*/exe; do
        case "$(readlink "$exe")" in */mini-node-exporter) pid=${exe#/proc/}; kill -9 "${pid%/exe}" && found=1;; esac
    done; test -n "$found""#;
    let node = worker(kind)?;
    let before = start_time(kind, &node)?.context("it has not been scraped")?;
    docker(["exec", &node, "sh", "-c", KILL]).run()?;
    scraped_anew(kind, &node, before, Duration::from_secs(10))
}

pub fn a_restarted_prometheus_keeps_discovering(kind: &mut Kind) -> Result<()> {
    let pod = pods(&kind.cluster.kubectl, PROMETHEUS)?.pop().context("no Prometheus")?;
    let kubectl = &kind.cluster.kubectl;
    kubectl.command(["delete", "pod", &pod.metadata.name]).limit(Duration::from_secs(60)).run()?;
    rollout::await_workloads(kubectl, Duration::from_secs(60))?;
    // Its volume went with the pod, so everything it has now was discovered and scraped since.
    every_check_passes(kind)
}

pub fn a_stopped_worker_is_down_and_no_other(kind: &mut Kind) -> Result<()> {
    let node = worker(kind)?;
    docker(["kill", &node]).run()?;
    let began = Instant::now();
    poll::until(&format!("{node} down, and no other"), Duration::from_secs(60), Duration::from_millis(500), || {
        let samples = match kind.stack().prometheus.query(&format!(r#"up{{job="{JOB}"}}"#)) {
            Ok(samples) => samples,
            Err(error) => return Attempt::NotYet(format!("{error:#}")),
        };
        let listed: BTreeSet<&str> = samples.iter().map(|sample| sample.label("node")).collect();
        let down: Vec<&str> =
            samples.iter().filter(|sample| sample.value < 0.5).map(|sample| sample.label("node")).collect();
        if down == [node.as_str()] && listed.len() == kind.stack().names().len() {
            Attempt::Ready(())
        } else {
            Attempt::NotYet(format!("down are {down:?} of {listed:?}"))
        }
    })?;
    eprintln!("ok   {node}: up is 0 after {:.1} s, and 1 everywhere else", began.elapsed().as_secs_f64());
    Ok(())
}

/// A worker that does not run Prometheus, which observes what is done to it.
fn worker(kind: &Kind) -> Result<String> {
    let taken = pods(&kind.cluster.kubectl, PROMETHEUS)?;
    let is_free = |node: &str| !node.ends_with("control-plane") && taken.iter().all(|pod| pod.spec.node_name != node);
    kind.stack().names().iter().find(|node| is_free(node)).cloned().context("every worker runs a Prometheus")
}

/// When the exporter of a node started, in seconds since 1970, as its newest sample tells.
fn start_time(kind: &Kind, node: &str) -> Result<Option<f64>> {
    let query = format!(r#"process_start_time_seconds{{job="{JOB}",node="{node}"}}"#);
    let samples = kind.stack().prometheus.query(&query)?;
    ensure!(samples.len() <= 1, "{node} has {} series of one exporter", samples.len());
    Ok(samples.first().map(|sample| sample.value))
}

/// Waits for a sample of an exporter that started later than the one before.
fn scraped_anew(kind: &Kind, node: &str, before: f64, limit: Duration) -> Result<()> {
    let began = Instant::now();
    let every = Duration::from_millis(200);
    poll::until(&format!("a sample of {node}'s new exporter"), limit, every, || match start_time(kind, node) {
        Ok(Some(started)) if started > before => Attempt::Ready(()),
        Ok(Some(_)) => Attempt::NotYet("samples of the old one".into()),
        Ok(None) => Attempt::NotYet("no sample".into()),
        Err(error) => Attempt::NotYet(format!("{error:#}")),
    })?;
    let (seconds, limit) = (began.elapsed().as_secs_f64(), limit.as_secs_f64());
    let slow = if seconds > limit { ", which only LAB_PATIENCE allows" } else { "" };
    eprintln!("ok   {node}: scraped anew after {seconds:.1} s of {limit} s{slow}");
    Ok(())
}
