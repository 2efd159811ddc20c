//! The component user-namespace: the exporter as nobody on the node, and all that it says as before.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::{Kind, rollout};
use e2e::docker::docker;
use e2e::workspace;
use serde_json::Value;

use crate::values::every_check_passes;

/// The first minor version of Kubernetes that has user namespaces for everybody.
const GENERAL_SINCE: u32 = 36;

pub fn without_user_namespaces(kind: &Kind) -> Option<&'static str> {
    let version = kind.cluster.kubectl.command(["version", "--output", "json"]).run().ok();
    let version: Option<Value> = version.and_then(|output| serde_json::from_str(&output.stdout).ok());
    let minor = version.and_then(|it| it["serverVersion"]["minor"].as_str()?.trim_end_matches('+').parse::<u32>().ok());
    // A version that cannot be read is no reason to leave it out.
    (minor.unwrap_or(GENERAL_SINCE) < GENERAL_SINCE)
        .then_some("needs Kubernetes 1.36, where user namespaces are general")
}

pub fn in_a_user_namespace_all_is_as_before(kind: &mut Kind) -> Result<()> {
    let component = workspace::root().join("kustomize/components/user-namespace/kustomization.yaml");
    let component: Value = serde_saphyr::from_str(&fs_err::read_to_string(component)?)?;
    let patch: Value = serde_saphyr::from_str(component["patches"][0]["patch"].as_str().context("no patch")?)?;
    let (patch, daemon_set) = (patch.to_string(), "daemonset/mini-node-exporter");
    kind.cluster.kubectl.command(["patch", daemon_set, "--type=json", "--patch", &patch]).run()?;
    let seen = rolled_out(kind).and_then(|()| mapped(kind)).and_then(|()| every_check_passes(kind));
    // Whatever came of it: the trials that follow expect the pods as they were.
    kind.cluster.kubectl.command(["rollout", "undo", daemon_set]).run()?;
    seen.and(rolled_out(kind))
}

fn rolled_out(kind: &Kind) -> Result<()> {
    rollout::await_workloads(&kind.cluster.kubectl, Duration::from_secs(120))
}

/// User 0 of the container is somebody else on each node.
fn mapped(kind: &Kind) -> Result<()> {
    const MAPS: &str = r#"for exe in /proc/[0-9]*/exe; do
        case "$(readlink "$exe")" in */mini-node-exporter) cat "${exe%/exe}/uid_map";; esac
    done"#;
    for node in &kind.stack().nodes {
        let maps = docker(["exec", node, "sh", "-c", MAPS]).run()?.stdout;
        let outside = maps.lines().next().and_then(|line| line.split_whitespace().nth(1));
        ensure!(outside.is_some_and(|user| user != "0"), "{node}: the exporter's uid_map is {maps:?}");
    }
    Ok(())
}
