//! The component user-namespace: the exporter's user has no rights on the node, and its metrics are the same.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::Kind;
use e2e::docker::docker;
use serde_json::Value;

use crate::variant;

/// The first minor version of Kubernetes in which user namespaces are generally available.
const GENERAL_SINCE: u32 = 36;

pub fn without_user_namespaces(kind: &Kind) -> Option<&'static str> {
    let version = kind.cluster.kubectl.command(["version", "--output", "json"]).run().ok();
    let version: Option<Value> = version.and_then(|output| serde_json::from_str(&output.stdout).ok());
    let minor = version.and_then(|it| it["serverVersion"]["minor"].as_str()?.trim_end_matches('+').parse::<u32>().ok());
    // A version that cannot be read is no reason to leave it out.
    (minor.unwrap_or(GENERAL_SINCE) < GENERAL_SINCE)
        .then_some("needs Kubernetes 1.36, where user namespaces are general")
}

pub fn in_a_user_namespace_all_is_as_before(kind: &Kind) -> Result<()> {
    variant::with(kind, "user-namespace", &["user-namespace"], &[], |stack| {
        stack.rolled_out(Duration::from_secs(120))?;
        mapped(kind)?;
        let failures = stack.view()?.failures()?;
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    })
}

/// On each node user 0 of one exporter is another user outside: the others' is user 0.
fn mapped(kind: &Kind) -> Result<()> {
    const MAPS: &str = r#"for exe in /proc/[0-9]*/exe; do
        case "$(readlink "$exe")" in */mini-node-exporter) cat "${exe%/exe}/uid_map";; esac
    done"#;
    for node in kind.stack().names() {
        let maps = docker(["exec", node, "sh", "-c", MAPS]).run()?.stdout;
        let outside = maps.lines().filter_map(|line| line.split_whitespace().nth(1));
        ensure!(outside.filter(|user| *user != "0").count() == 1, "{node}: the exporters' uid_maps are {maps:?}");
    }
    Ok(())
}
