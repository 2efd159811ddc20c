//! What Kubernetes made of the manifests.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::Kind;
use e2e::backend::kind::kubectl::Kubectl;
use e2e::backend::kind::objects::Pod;
use e2e::client::http::Server;
use e2e::wait::poll::{self, Attempt};
use serde_json::Value;

/// The label of the exporter's pods.
pub const EXPORTER: &str = "app.kubernetes.io/name=mini-node-exporter";

/// The label of Prometheus' pod.
pub const PROMETHEUS: &str = "app.kubernetes.io/name=prometheus";

/// The label of Alertmanager's pod.
pub const ALERTMANAGER: &str = "app.kubernetes.io/name=alertmanager";

pub fn every_node_runs_an_exporter(kind: &Kind) -> Result<()> {
    let pods = pods(&kind.cluster.kubectl, EXPORTER)?;
    let on: Vec<&str> = pods.iter().map(|pod| pod.spec.node_name.as_str()).collect();
    let distinct: BTreeSet<String> = on.iter().map(|&node| node.to_owned()).collect();
    ensure!(&distinct == kind.stack().names(), "exporters run on {on:?}, and the nodes are {:?}", kind.stack().names());
    ensure!(on.len() == distinct.len(), "a node runs two: {on:?}");
    ensure!(distinct.iter().any(|node| node.ends_with("control-plane")), "none on the control plane: {on:?}");
    Ok(())
}

pub fn every_endpoint_answers_through_the_node_port(kind: &Kind) -> Result<()> {
    let stack = kind.stack();
    let base = stack.exporters[0].base();
    // A node's proxy learns of ready pods a moment after the roll-out does.
    poll::until("the node port's first answer", Duration::from_secs(10), Duration::from_millis(100), || {
        stack.exporters[0].ready().map_or_else(|error| Attempt::NotYet(format!("{error:#}")), Attempt::Ready)
    })?;
    for path in ["/", "/metrics", "/healthz/live", "/healthz/ready"] {
        Server::new(base).get(path, &[])?.text()?;
    }
    let hostname = stack.exporters[0].hostname()?;
    ensure!(stack.names().contains(&hostname), "/info/hostname is `{hostname}`, and the nodes are {:?}", stack.names());
    let uptime: f64 = Server::new(base).get("/info/uptime", &[])?.text()?.parse()?;
    ensure!(uptime > 0.0, "/info/uptime is {uptime}, not above 0");
    let load: Value = Server::new(base).get("/info/load", &[])?.json()?;
    let durations: Vec<&String> = load.as_object().context("/info/load is no object")?.keys().collect();
    ensure!(durations == ["1m", "5m", "15m"], "/info/load has the keys {durations:?}");
    Ok(())
}

pub fn only_prometheus_has_a_token(kind: &Kind) -> Result<()> {
    for (label, wanted) in [(EXPORTER, false), (PROMETHEUS, true), (ALERTMANAGER, false)] {
        for pod in pods(&kind.cluster.kubectl, label)? {
            // A projected volume since Kubernetes 1.21, a Secret before.
            let token = |name: &str| name.starts_with("kube-api-access-") || name.contains("-token-");
            let has = pod.spec.volumes.iter().any(|volume| token(&volume.name));
            ensure!(has == wanted, "pod {}: a mounted token is {has}, and should be {wanted}", pod.metadata.name);
        }
    }
    Ok(())
}

/// The pods with a label that are not on their way out.
pub fn pods(kubectl: &Kubectl, label: &str) -> Result<Vec<Pod>> {
    let mut pods = kubectl.get(["pods", "--selector", label])?.pods;
    pods.retain(|pod| !pod.is_gone());
    Ok(pods)
}
