//! A stack of a trial's own, in a namespace of its own: the run's manifests without Grafana, and with something changed.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::backend::Backend as _;
use e2e::backend::kind::kubectl::Kubectl;
use e2e::backend::kind::{Kind, overlay, rollout};
use e2e::client::alertmanager::Alertmanager;
use e2e::client::exporter::Exporter;
use e2e::client::prometheus::Prometheus;
use e2e::docker::docker;
use e2e::stack::{Part, Procfs, Stack};
use serde_json::{Value, json};

use crate::kubernetes::{PROMETHEUS, pods};
use crate::view::View;

/// Changes of objects, by kind and name, each a JSON patch.
pub type Patches<'p> = &'p [(&'p str, &'p str, &'p str)];

/// The API server chooses node ports, for the stack that all trials share has those of the manifests.
const ANY_NODE_PORT: &str = r#"[{"op": "remove", "path": "/spec/ports/0/nodePort"}]"#;

/// A patch that replaces a value of an object.
pub fn replace(path: &str, value: impl Into<Value>) -> String {
    json!([{ "op": "replace", "path": path, "value": value.into() }]).to_string()
}

/// The stack of one trial.
pub struct Variant<'k> {
    pub kind: &'k Kind,
    pub kubectl: &'k Kubectl,
    namespace: &'k str,
}

/// Runs a trial on a stack of its own, which is deployed but not waited for, and deletes it.
pub fn with(
    kind: &Kind,
    namespace: &str,
    components: &[&str],
    patches: Patches<'_>,
    trial: impl FnOnce(&Variant<'_>) -> Result<()>,
) -> Result<()> {
    in_namespace(kind, namespace, |kubectl| {
        let variant = Variant { kind, kubectl, namespace };
        variant.apply(components, patches)?;
        trial(&variant)
    })
}

/// Runs a trial that deploys what it needs in a namespace of its own, and deletes that.
pub fn in_namespace(kind: &Kind, namespace: &str, trial: impl FnOnce(&Kubectl) -> Result<()>) -> Result<()> {
    let kubectl = kind.cluster.kubectl.in_namespace(namespace);
    let seen = trial(&kubectl);
    if seen.is_err() {
        kind.cluster.save_diagnosis(&kubectl)?;
    }
    kubectl.command(["delete", "namespace", namespace, "--ignore-not-found", "--wait=false"]).run()?;
    seen
}

impl Variant<'_> {
    /// Applies the manifests, with some of the shipped components, and patched.
    pub fn apply(&self, components: &[&str], patches: Patches<'_>) -> Result<()> {
        let place = self.kind.run().dir().join(self.namespace);
        fs_err::create_dir_all(&place)?;
        let component = |name: &&str| format!("../overlay/kustomize/components/{name}");
        let patch = |(kind, name, patch): &(&str, &str, &str)| json!({ "target": { "kind": kind, "name": name }, "patch": patch });
        let own = [("Service", "mini-node-exporter|prometheus|alertmanager", ANY_NODE_PORT)];
        let kustomization = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": self.namespace,
            "resources": ["../overlay"],
            "components": components.iter().map(component).collect::<Vec<_>>(),
            "patches": own.iter().chain(patches).map(patch).chain([overlay::deletion("grafana")]).collect::<Vec<Value>>(),
        });
        fs_err::write(place.join("kustomization.yaml"), kustomization.to_string())?;
        Ok(self.kubectl.apply(&place)?)
    }

    pub fn rolled_out(&self, limit: Duration) -> Result<()> {
        rollout::await_workloads(self.kubectl, limit)
    }

    /// The stack, reached through the node ports of the control plane.
    pub fn view(&self) -> Result<View<'_>> {
        let at = |service| node_port(self.kind, self.kubectl, service);
        let (exporter, prometheus) = (Exporter::new(at("mini-node-exporter")?), Prometheus::new(at("prometheus")?));
        let nodes = self.kind.stack().names().clone();
        let shared = self.kind.stack().alertmanager.here().and_then(Option::as_ref).context("no Alertmanager")?;
        let alertmanager = Alertmanager::new(at("alertmanager")?, shared.delivery().clone());
        // Another trial compares the values with a node's own.
        let stack = Stack::own(nodes, vec![exporter], prometheus, Part::Omitted, Procfs::Unseen);
        Ok(View::of(self.kind, Stack { alertmanager: Part::Here(Some(alertmanager)), ..stack }))
    }

    /// Drops the packets from its Prometheus to the exporters.
    pub fn drop_scrapes(&self) -> Result<()> {
        let prometheus = pods(self.kubectl, PROMETHEUS)?.pop().context("no Prometheus")?;
        let rule = ["--source", &prometheus.status.ip, "--protocol", "tcp", "--dport", "23333", "--jump", "DROP"];
        // Network policies are enforced in the table `filter`, which is rewritten at any time. The rule stays: nothing else
        // gets the pod's address.
        let insert = ["iptables", "--wait", "--table", "mangle", "--insert", "FORWARD"];
        docker(["exec", &prometheus.spec.node_name]).args(insert).args(rule).run()?;
        Ok(())
    }
}

/// The address of a service: its port on the control plane.
pub fn node_port(kind: &Kind, kubectl: &Kubectl, service: &str) -> Result<String> {
    let node = kind.stack().names().iter().find(|node| node.ends_with("control-plane")).context("no control plane")?;
    let address = r#"jsonpath={.status.addresses[?(@.type=="InternalIP")].address}"#;
    let address = kubectl.command(["get", "node", node, "--output", address]).read()?;
    let port = ["get", "service", service, "--output", "jsonpath={.spec.ports[0].nodePort}"];
    Ok(format!("http://{address}:{}", kubectl.command(port).read()?))
}
