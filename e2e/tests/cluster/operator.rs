//! Production beside a Prometheus that prometheus-operator runs: its `PodMonitor` and `PrometheusRule`, and faults in both.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::images::{Image, split};
use e2e::backend::kind::{Kind, airgap};
use e2e::client::prometheus::Prometheus;
use e2e::stack::{Part, Procfs, Stack};
use e2e::terminal::progress::Progress;
use e2e::workspace;
use fs_err as fs;
use serde_json::{Value, json};

use crate::admission::OPERATOR;
use crate::fault::Fault;
use crate::faults::NO_TARGETS;
use crate::variant::{self, Patches};
use crate::view::View;

/// Whether the operator is installed: the first trial does it.
static INSTALLED: Mutex<bool> = Mutex::new(false);

pub fn without_its_image(kind: &Kind) -> Option<&'static str> {
    (!kind.cluster.airgap).then_some("needs LAB_AIRGAP=1; the job `prometheus-operator` of e2e.yml runs the newest")
}

pub fn its_prometheus_scrapes_every_node_and_has_the_rules(kind: &Kind) -> Result<()> {
    operated(kind, "operated", &[], |view| {
        let failures = view.failures()?;
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    })
}

pub fn a_pod_monitor_with_a_wrong_port_name(kind: &Kind) -> Result<()> {
    let patch = r#"[{"op": "replace", "path": "/spec/podMetricsEndpoints/0/port", "value": "http"}]"#;
    shows(kind, "monitor-port", &NO_TARGET, ("PodMonitor", "mini-node-exporter", patch))
}

pub fn a_pod_monitor_that_selects_nothing(kind: &Kind) -> Result<()> {
    let patch = r#"[{"op": "replace", "path": "/spec/selector/matchLabels", "value": {"app": "exporter"}}]"#;
    shows(kind, "monitor-selector", &NO_TARGET, ("PodMonitor", "mini-node-exporter", patch))
}

pub fn a_rule_that_does_not_parse(kind: &Kind) -> Result<()> {
    // Panels show what rules record.
    let fails = &["rules-healthy", "panels-have-data"];
    let fault = Fault { plant: (), fails, says: "Prometheus has loaded no rules" };
    let patch = r#"[{"op": "replace", "path": "/spec/groups/0/rules/0/expr", "value": "up =="}]"#;
    shows(kind, "rule", &fault, ("PrometheusRule", ".*", patch))
}

/// What fails with a `PodMonitor` by which nothing is scraped. The exporters are checked through Prometheus, too.
const NO_TARGET: Fault<()> = Fault { plant: (), fails: NO_TARGETS, says: "its discovery finds none" };

fn shows(kind: &Kind, namespace: &str, fault: &Fault<()>, patch: (&str, &str, &str)) -> Result<()> {
    operated(kind, namespace, &[patch], |view| view.shows(fault, Vec::new))
}

/// Runs a trial on production with the operator's objects, some of them patched, and a Prometheus, in a namespace of its own.
fn operated(
    kind: &Kind,
    namespace: &str,
    patches: Patches<'_>,
    trial: impl FnOnce(View<'_>) -> Result<()>,
) -> Result<()> {
    install(kind)?;
    variant::in_namespace(kind, namespace, |kubectl| {
        deploy(kind, namespace, patches)?;
        let available = ["wait", "--for=condition=Available", "--timeout=120s", "prometheus/prometheus"];
        kubectl.command(available).limit(Duration::from_secs(130)).run()?;
        let prometheus = Prometheus::new(variant::node_port(kind, kubectl, "prometheus")?);
        let stack = Stack::own(kind.stack().names().clone(), Vec::new(), prometheus, Part::Omitted, Procfs::Unseen);
        trial(View::of(kind, Stack { own: false, ..stack }))
    })
}

fn install(kind: &Kind) -> Result<()> {
    let mut installed = INSTALLED.lock().ok().context("it could not be installed")?;
    if *installed {
        return Ok(());
    }
    let progress = Progress::default();
    let reference = airgap::operator(&progress)?;
    kind.cluster.load(&[&reference], &progress)?;
    let example = airgap::module(OPERATOR)?.join("example");
    // The annotation of a client-side apply would be too long.
    let definitions = kind.cluster.kubectl.command(["apply", "--server-side", "--filename"]);
    definitions.arg(example.join("prometheus-operator-crd")).limit(Duration::from_secs(60)).run()?;
    let established =
        ["wait", "--for=condition=Established", "--timeout=20s", "crd/prometheuses.monitoring.coreos.com"];
    kind.cluster.kubectl.command(established).run()?;

    let place = kind.run().dir().join("operator");
    fs::create_dir_all(&place)?;
    let files = ["service-account", "cluster-role", "cluster-role-binding", "deployment"];
    let files = files.map(|file| format!("prometheus-operator-{file}.yaml"));
    for file in &files {
        fs::write(place.join(file), fs::read(example.join("rbac/prometheus-operator").join(file))?)?;
    }
    let container = "/spec/template/spec/containers/0";
    let patch = json!([
        { "op": "add", "path": format!("{container}/command"), "value": ["/bin/operator"] },
        { "op": "replace", "path": format!("{container}/image"), "value": reference },
        { "op": "remove", "path": format!("{container}/resources") },
        { "op": "add", "path": format!("{container}/args/-"), "value": format!("--prometheus-config-reloader={reference}") },
    ]);
    let kustomization =
        json!({ "resources": files, "patches": [{ "target": { "kind": "Deployment" }, "patch": patch.to_string() }] });
    fs::write(place.join("kustomization.yaml"), kustomization.to_string())?;
    let kubectl = kind.cluster.kubectl.in_namespace("default");
    kubectl.apply(&place)?;
    let status = ["rollout", "status", "deployment/prometheus-operator", "--timeout=90s"];
    kubectl.command(status).limit(Duration::from_secs(100)).run()?;
    *installed = true;
    Ok(())
}

fn deploy(kind: &Kind, namespace: &str, patches: Patches<'_>) -> Result<()> {
    let place = kind.run().dir().join(namespace);
    fs::create_dir_all(&place)?;
    // All in one namespace: the other one of that file is left out.
    let objects = fs::read_to_string(workspace::root().join("e2e/operator/prometheus.yaml"))?;
    let objects: Vec<&str> = objects.split("---\n").filter(|object| !object.contains("kind: Namespace\n")).collect();
    fs::write(place.join("prometheus.yaml"), objects.join("---\n"))?;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "prometheus" },
        "spec": {
            "type": "NodePort",
            "selector": { "app.kubernetes.io/name": "prometheus" },
            "ports": [{ "port": 9090 }],
        },
    });
    fs::write(place.join("service.yaml"), service.to_string())?;

    let own = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
    let own = json!([
        { "op": "replace", "path": "/spec/image", "value": kind.cluster.images[&Image::Prometheus] },
        { "op": "replace", "path": "/spec/podMonitorNamespaceSelector", "value": own },
        { "op": "replace", "path": "/spec/ruleNamespaceSelector", "value": own },
    ])
    .to_string();
    let own = [("Prometheus", "prometheus", own.as_str())];
    let patch =
        |(kind, name, patch): &(&str, &str, &str)| json!({ "target": { "kind": kind, "name": name }, "patch": patch });
    let (exporter, tag) = split(&kind.cluster.images[&Image::Exporter]);
    let components = ["pod-monitor", "prometheus-rule", "kube-prometheus", "kube-state-metrics"];
    let components = components.map(|name| format!("../overlay/kustomize/components/{name}"));
    let kustomization = json!({
        "namespace": namespace,
        "resources": ["../overlay/kustomize/overlays/production", "prometheus.yaml", "service.yaml"],
        "components": components,
        "images": [{ "name": Image::Exporter.in_manifests(), "newName": exporter, "newTag": tag }],
        "patches": own.iter().chain(patches).map(patch).collect::<Vec<Value>>(),
    });
    fs::write(place.join("kustomization.yaml"), kustomization.to_string())?;
    Ok(kind.cluster.kubectl.in_namespace(namespace).apply(&place)?)
}
