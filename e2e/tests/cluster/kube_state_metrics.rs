//! The component kube-state-metrics: by what a real kube-state-metrics says of the nodes, the alerts tell those that leave
//! on purpose from those that are lost.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::backend::Backend as _;
use e2e::backend::kind::Kind;
use e2e::backend::kind::images::Image;
use e2e::client::prometheus::{Prometheus, Sample};
use e2e::docker::docker;
use e2e::stack::JOB;
use e2e::wait::poll::{self, Attempt};
use fs_err as fs;
use serde_json::json;

use crate::kubernetes::{EXPORTER, pods};
use crate::sped_up::{self, yields};
use crate::variant::{self, Variant};

const LEAVING: &str = "kustomize/components/kube-state-metrics/node-leaving.yml";

/// How Prometheus scrapes it.
const JOB_OF_ITS_OWN: &str = "
  - job_name: kube-state-metrics
    honor_labels: true
    kubernetes_sd_configs:
      - role: pod
        namespaces:
          own_namespace: true
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_container_port_name]
        regex: http-metrics
        action: keep
";

pub fn without_its_image(kind: &Kind) -> Option<&'static str> {
    let missing = !kind.cluster.images.contains_key(&Image::KubeStateMetrics);
    missing.then_some("LAB_IMAGE_KUBE_STATE_METRICS names no image")
}

/// One worker is drained, shut down and removed, and the other one is lost.
pub fn a_node_that_leaves_raises_no_alert_and_a_lost_one_does(kind: &mut Kind) -> Result<()> {
    let (control_plane, workers): (Vec<&str>, Vec<&str>) =
        kind.stack().names().iter().map(String::as_str).partition(|node| node.ends_with("control-plane"));
    let (control_plane, leaving, lost) = (control_plane[0], workers[0], workers[1]);
    // An earlier trial stops one.
    docker(["start", leaving, lost]).run()?;
    let here = json!([{ "op": "add", "path": "/spec/template/spec/nodeName", "value": control_plane }]).to_string();
    let (config, rules) = (sped_up::config("lost", JOB_OF_ITS_OWN)?, sped_up::rules(&[LEAVING])?);
    let patches = [
        ("ConfigMap", "prometheus-config", config.as_str()),
        ("ConfigMap", "prometheus-rules", &rules),
        ("Deployment", "prometheus", &here),
    ];
    variant::with(kind, "kube-state-metrics", &[], &patches, |stack| {
        deploy(stack, control_plane)?;
        stack.rolled_out(Duration::from_secs(120))?;
        let prometheus = stack.view()?.stack.prometheus;
        let all = kind.stack().names().len();
        yields(
            &prometheus,
            &format!(
                r#"count(up{{job="{JOB}"}} == 1) == {all} and count(node:kube_node_info:expected) == {all}
                   and count(kube_node_spec_unschedulable == 0) == {all}"#
            ),
        )?;

        stack.kubectl.command(["cordon", leaving]).run()?;
        let drain = ["drain", leaving, "--ignore-daemonsets", "--delete-emptydir-data"];
        stack.kubectl.command(drain).limit(Duration::from_secs(60)).run()?;
        docker(["kill", leaving]).run()?;
        yields(&prometheus, &format!(r#"up{{job="{JOB}", node="{leaving}"}} == 0"#))?;
        docker(["kill", lost]).run()?;
        // A cordon does not keep a node from being one of many that are down.
        fire(&prometheus, &["MiniNodeExporterNodesDown".into(), format!("MiniNodeExporterTargetDown {lost}")])?;

        stack.kubectl.command(["delete", "node", leaving]).run()?;
        delete_exporter(stack, leaving)?;
        yields(&prometheus, &format!(r#"absent(up{{job="{JOB}", node="{leaving}"}})"#))?;
        // The pod that takes its place stays Pending, so that Prometheus has no target.
        delete_exporter(stack, lost)?;
        fire(&prometheus, &[format!("MiniNodeExporterNodeNotScraped {lost}")])
    })
}

fn deploy(stack: &Variant<'_>, control_plane: &str) -> Result<()> {
    let manifests = include_str!("kube-state-metrics.yaml");
    let image = &stack.kind.cluster.images[&Image::KubeStateMetrics];
    let file = stack.kind.run().dir().join("kube-state-metrics.yaml");
    fs::write(&file, manifests.replace("IMAGE", image).replace("CONTROL_PLANE", control_plane))?;
    stack.kubectl.command(["apply", "--filename"]).arg(file).run()?;
    Ok(())
}

/// Deletes the exporter's pod of a node that is down, whose kubelet cannot confirm it.
fn delete_exporter(stack: &Variant<'_>, node: &str) -> Result<()> {
    let pods = pods(stack.kubectl, EXPORTER)?;
    let pod = pods.iter().find(|pod| pod.spec.node_name == node).with_context(|| format!("no exporter on {node}"))?;
    stack.kubectl.command(["delete", "pod", &pod.metadata.name, "--force", "--grace-period=0"]).run()?;
    Ok(())
}

/// Waits until exactly these alerts about unreachable nodes fire, each with its node.
fn fire(prometheus: &Prometheus, wanted: &[String]) -> Result<()> {
    let names = "MiniNodeExporter(TargetDown|NodeNotScraped|ScrapesFailing|NodesDown|Absent)";
    let query = format!(r#"ALERTS{{alertname=~"{names}", alertstate="firing"}}"#);
    let what = format!("exactly the alerts {wanted:?}");
    poll::until(&what, Duration::from_secs(60), Duration::from_millis(500), || match prometheus.query(&query) {
        Ok(samples) => {
            let alert = |alert: &Sample| format!("{} {}", alert.label("alertname"), alert.label("node"));
            let mut firing: Vec<String> = samples.iter().map(|it| alert(it).trim_end().to_owned()).collect();
            firing.sort_unstable();
            if firing == wanted { Attempt::Ready(()) } else { Attempt::NotYet(format!("{firing:?}")) }
        }
        Err(error) => Attempt::NotYet(format!("{error:#}")),
    })
}
