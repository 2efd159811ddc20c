//! The deployed stack with something changed in its manifests, and back: an overlay on the run's own.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use e2e::backend::Backend as _;
use e2e::backend::kind::{Kind, rollout};
use serde_json::{Value, json};

use crate::view::View;

/// Changes of objects, by kind and name, each a JSON patch.
pub type Patches<'p> = &'p [(&'p str, &'p str, &'p str)];

/// The exporters of all nodes are replaced at the same time: for changes whose way is of no interest.
pub const AT_ONCE: (&str, &str, &str) = (
    "DaemonSet",
    "mini-node-exporter",
    r#"[{"op": "add", "path": "/spec/updateStrategy", "value": {"rollingUpdate": {"maxUnavailable": "100%"}}}]"#,
);

/// Applies the run's own manifests with some of the shipped components, and patched.
pub fn apply(kind: &Kind, components: &[&str], patches: Patches<'_>) -> Result<()> {
    let place = kind.run().dir().join("variant");
    fs_err::create_dir_all(&place)?;
    let component = |name: &&str| format!("../overlay/kustomize/components/{name}");
    let patch =
        |(kind, name, patch): &(&str, &str, &str)| json!({ "target": { "kind": kind, "name": name }, "patch": patch });
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../overlay"],
        "components": components.iter().map(component).collect::<Vec<_>>(),
        "patches": patches.iter().map(patch).collect::<Vec<Value>>(),
    });
    fs_err::write(place.join("kustomization.yaml"), kustomization.to_string())?;
    Ok(kind.cluster.kubectl.apply(&place)?)
}

/// Applies the run's own manifests again, and waits until every check passes; then gives what was seen before. The
/// trials that follow expect the stack as it was.
pub fn undo_after(seen: Result<()>, kind: &Kind) -> Result<()> {
    if seen.is_err() {
        kind.cluster.note_trouble()?;
    }
    match (seen, undo(kind)) {
        (Err(seen), Err(undone)) => bail!("{seen:#}\nand afterwards {undone:#}"),
        (seen, undone) => seen.and(undone),
    }
}

fn undo(kind: &Kind) -> Result<()> {
    apply(kind, &[], &[AT_ONCE])?;
    rolled_out(kind)?;
    kind.cluster.kubectl.apply(&kind.run().dir().join("overlay"))?;
    let wrong = View::of(kind).failures()?;
    if wrong.is_empty() { Ok(()) } else { bail!("the stack is not as it was before:\n{}", wrong.join("\n")) }
}

pub fn rolled_out(kind: &Kind) -> Result<()> {
    rollout::await_workloads(&kind.cluster.kubectl, Duration::from_secs(60)).context("the stack does not roll out")
}
