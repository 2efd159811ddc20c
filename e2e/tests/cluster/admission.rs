//! Every shipped tree passes the API server's own dry run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::kubectl::NAMESPACE;
use e2e::backend::kind::{Kind, airgap};
use e2e::terminal::out::Mark;
use e2e::terminal::progress::Progress;
use e2e::wait::poll::{self, Attempt};
use fs_err as fs;
use serde_json::json;

/// Components of production that go together, as [kustomize/README.md](../../../kustomize/README.md) says which do not.
const COMPONENTS: [&[&str]; 2] = [
    &[
        "cpus",
        "grafana-operator",
        "host-procfs",
        "kube-prometheus",
        "kube-state-metrics",
        "pod-monitor",
        "prometheus-rule",
        "tls",
    ],
    &["dashboard", "existing-namespace", "openshift", "user-namespace"],
];

/// The custom resources of the components: the Go module that holds the definition, and its file there.
const DEFINITIONS: [(&str, &str, &str); 3] = [
    ("PodMonitor", OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
    ("PrometheusRule", OPERATOR, "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"),
    (
        "GrafanaDashboard",
        "github.com/grafana/grafana-operator/v5@v5.18.0",
        "config/crd/bases/grafana.integreatly.org_grafanadashboards.yaml",
    ),
];

pub const OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";

pub fn the_api_server_admits_every_overlay_and_component(kind: &Kind) -> Result<()> {
    let kubectl = &kind.cluster.kubectl;
    let missing = define(kind)?;
    kubectl.command(["create", "namespace", "dry-run"]).run()?;
    let seen = trees(kind)?.iter().try_for_each(|(namespace, tree)| dry_run(kind, namespace, tree, &missing));
    kubectl.command(["delete", "namespace/dry-run", "--wait=false"]).run()?;
    seen
}

/// Applies the definitions of the custom resources; returns the kinds whose definition could not be downloaded.
fn define(kind: &Kind) -> Result<Vec<&'static str>> {
    let mut missing = Vec::new();
    for (resource, module, file) in DEFINITIONS {
        match airgap::module(module) {
            Ok(dir) => {
                // The annotation of a client-side apply would be too long.
                let apply = kind.cluster.kubectl.command(["apply", "--server-side", "--filename"]);
                apply.arg(dir.join(file)).run()?;
            }
            Err(error) => {
                Progress::default()
                    .say(Mark::Skip, &format!("{resource}, whose definition could not be downloaded: {error:#}"));
                missing.push(resource);
            }
        }
    }
    let wait = ["wait", "--for=condition=Established", "--timeout=20s", "customresourcedefinitions", "--all"];
    if missing.len() < DEFINITIONS.len() {
        kind.cluster.kubectl.command(wait).run()?;
    }
    Ok(missing)
}

/// A directory for each tree: the overlays as they ship, and production with components, in a namespace where no Service
/// of the stack has its ports.
fn trees(kind: &Kind) -> Result<Vec<(String, PathBuf)>> {
    let place = kind.run().dir().join("dry-run");
    let (kind, production, stack) = ("overlays/kind", "overlays/production", "examples/kube-prometheus-stack");
    let trees: [(&str, &str, &[&str]); 6] = [
        (NAMESPACE, kind, &[]),
        (NAMESPACE, kind, &["prometheus-pvc"]),
        ("dry-run", production, &[]),
        ("dry-run", production, COMPONENTS[0]),
        ("dry-run", production, COMPONENTS[1]),
        ("dry-run", stack, &[]),
    ];
    let from = |path: &str| format!("../../overlay/kustomize/{path}");
    let write = |(number, (namespace, resource, components)): (usize, (&str, &str, &[&str]))| {
        let components: Vec<String> = components.iter().map(|name| from(&format!("components/{name}"))).collect();
        let tree = json!({ "namespace": namespace, "resources": [from(resource)], "components": components });
        let dir = place.join(number.to_string());
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("kustomization.yaml"), tree.to_string())?;
        Ok((namespace.to_owned(), dir))
    };
    trees.into_iter().enumerate().map(write).collect()
}

fn dry_run(kind: &Kind, namespace: &str, tree: &Path, missing: &[&str]) -> Result<()> {
    let kubectl = &kind.cluster.kubectl;
    let rendered = kubectl.command(["kustomize"]).arg(tree).read()?;
    let documents = rendered
        .split("\n---\n")
        .filter(|document| !missing.iter().any(|kind| document.lines().any(|line| line == format!("kind: {kind}"))));
    let file = tree.join("rendered.yaml");
    fs::write(&file, documents.collect::<Vec<_>>().join("\n---\n"))?;
    let namespace = format!("--namespace={namespace}");
    let apply =
        || kubectl.command(["apply", "--dry-run=server", "--validate=strict", &namespace, "--filename"]).arg(&file);
    // A trial beside this one may remove an object between kubectl's look at it and the patch.
    let run = || match apply().limit(Duration::from_secs(60)).run() {
        Ok(admitted) => Attempt::Ready(admitted),
        Err(error) if error.to_string().contains("(NotFound)") => Attempt::NotYet(error.to_string()),
        Err(error) => Attempt::Failed(error.into()),
    };
    let every = Duration::from_secs(1);
    let admitted = poll::until("the dry run", Duration::from_secs(60), every, run);
    let admitted = admitted.with_context(|| tree.display().to_string())?;
    // A pod template that the namespace would refuse is only warned of.
    ensure!(!admitted.stderr.contains("would violate"), "{}: {}", tree.display(), admitted.stderr);
    Ok(())
}
