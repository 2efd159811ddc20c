//! Diagnosis: what a person would ask a cluster that does not come up: which nodes and pods are not ready, their last
//! log lines, and what the cluster warned of.

use std::time::Duration;

use serde_json::Value;

use super::kubectl::{Kubectl, name};
use super::trouble::{containers, unready};
use crate::docker::docker;
use crate::process::log;

/// So many warnings are shown of one object, the newest.
const NEWEST: usize = 4;

/// What is wrong, one line each: nodes, pods, and what keeps pods from being made. Empty where all is well.
pub fn describe(kubectl: &Kubectl) -> String {
    let get = |what: &str| kubectl.get([what]).unwrap_or_default();
    let mut lines = nodes(&get("nodes"), kubelet_log);
    lines.extend(workloads(&get("pods"), &get("events"), |pod| kubectl.last_log(pod)));
    lines.join("\n")
}

fn nodes(nodes: &[Value], log: impl Fn(&str) -> String) -> Vec<String> {
    let describe = |node: &Value| {
        let mut lines = vec![format!("node {}", unready(node)?)];
        lines.extend(log(&name(node)).lines().map(|line| format!("  kubelet | {line}")));
        Some(lines)
    };
    nodes.iter().filter_map(describe).flatten().collect()
}

/// The kubelet's last lines, for which Docker is asked: the API server may know nothing of this node.
fn kubelet_log(node: &str) -> String {
    let journal = ["journalctl", "--unit=kubelet", "--lines=60", "--output=cat", "--no-pager"];
    let asked = docker(["exec", node]).args(journal).limit(Duration::from_secs(10)).shielded().run();
    asked.map_or_else(|error| error.last_line().to_owned(), |output| log::newest(output.stdout.lines(), 6).join("\n"))
}

/// Pods of one workload fail alike, so the first that is not ready speaks for all of them.
fn workloads(pods: &[Value], events: &[Value], log: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    let mut told: Vec<&Value> = Vec::new();
    for pod in pods.iter().filter(|pod| !is_ready(pod)) {
        let phase = pod["status"]["phase"].as_str().unwrap_or("unknown");
        let node = pod["spec"]["nodeName"].as_str().unwrap_or("no node");
        lines.push(format!("pod {} on {node}: {phase}, not ready", name(pod)));
        let workload = &pod["metadata"]["labels"]["app.kubernetes.io/name"];
        if told.contains(&workload) {
            continue;
        }
        told.push(workload);
        lines.extend(log(&name(pod)).lines().map(|line| format!("  log | {line}")));
        lines.extend(warnings(events, |object| object["name"] == pod["metadata"]["name"]));
    }
    // Those who make pods tell why they may not; what others warn of passes by itself.
    lines.extend(warnings(events, |object| ["DaemonSet", "ReplicaSet"].iter().any(|kind| object["kind"] == *kind)));
    lines
}

fn is_ready(pod: &Value) -> bool {
    containers(pod).next().is_some() && containers(pod).all(|status| status["ready"] == true)
}

fn warnings(events: &[Value], about: impl Fn(&Value) -> bool) -> Vec<String> {
    let ours = |event: &&Value| event["type"] == "Warning" && about(&event["involvedObject"]);
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let mut warnings: Vec<(String, String)> = events
        .iter()
        .filter(ours)
        .map(|event| {
            let object = &event["involvedObject"];
            let of = format!("{} {}", text(object, "kind").to_lowercase(), text(object, "name"));
            let line = format!("  event | {of}: {}: {}", text(event, "reason"), text(event, "message"));
            (text(event, "lastTimestamp"), line)
        })
        .collect();
    warnings.sort();
    let newest = warnings.len().saturating_sub(NEWEST);
    warnings.into_iter().skip(newest).map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, workload: &str, ready: bool) -> Value {
        json!({
            "metadata": { "name": name, "labels": { "app.kubernetes.io/name": workload } },
            "spec": { "nodeName": "worker" },
            "status": { "phase": "Running", "containerStatuses": [{ "ready": ready }] },
        })
    }

    fn event(kind: &str, name: &str, time: u8, message: &str) -> Value {
        json!({
            "type": "Warning",
            "involvedObject": { "kind": kind, "name": name },
            "reason": "Unhealthy",
            "message": message,
            "lastTimestamp": format!("2026-01-01T00:00:{time:02}Z"),
        })
    }

    #[test]
    fn the_first_pod_of_a_workload_speaks_for_all_and_ready_ones_are_silent() {
        let pods = [pod("e-1", "exporter", false), pod("e-2", "exporter", false), pod("p-1", "prometheus", true)];
        let events = [
            event("Pod", "e-1", 2, "newer"),
            event("Pod", "e-1", 1, "older"),
            event("Pod", "e-2", 3, "alike"),
            event("Pod", "p-1", 4, "passed"),
            event("DaemonSet", "e", 5, "forbidden"),
            event("Endpoints", "e", 6, "try again"),
        ];
        assert_eq!(
            workloads(&pods, &events, |pod| format!("words of {pod}")),
            [
                "pod e-1 on worker: Running, not ready",
                "  log | words of e-1",
                "  event | pod e-1: Unhealthy: older",
                "  event | pod e-1: Unhealthy: newer",
                "pod e-2 on worker: Running, not ready",
                "  event | daemonset e: Unhealthy: forbidden",
            ]
        );
    }

    #[test]
    fn the_newest_warnings_are_shown() {
        let events: Vec<Value> = (0..9).map(|time| event("DaemonSet", "e", time, &format!("at {time}"))).collect();
        let shown = warnings(&events, |_| true);
        assert_eq!(shown.len(), NEWEST);
        assert_eq!(shown[NEWEST - 1], "  event | daemonset e: Unhealthy: at 8");
    }

    #[test]
    fn an_unready_node_is_shown_with_its_kubelets_words() {
        let node = |name: &str, ready: &str| {
            let condition = json!({ "type": "Ready", "status": ready, "message": "no network" });
            json!({ "metadata": { "name": name }, "status": { "conditions": [condition] } })
        };
        assert_eq!(
            nodes(&[node("a", "True"), node("b", "False")], |node| format!("I am {node}")),
            ["node b: no network", "  kubelet | I am b"]
        );
    }
}
