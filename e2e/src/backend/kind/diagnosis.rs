//! Diagnosis of a cluster that does not come up: the nodes and pods that are not ready, their last log lines, and the
//! cluster's warnings.

use std::collections::BTreeSet;
use std::time::Duration;

use super::kubectl::Kubectl;
use super::objects::{Event, Node, Objects, Pod, Reference};
use crate::docker::docker;
use crate::process::log;

/// How many warnings about one object are shown, the newest.
const NEWEST: usize = 4;

/// What is wrong, line by line: nodes, pods, and what keeps pods from being made. Empty where all is well.
pub fn describe(kubectl: &Kubectl) -> String {
    let Objects { nodes, pods, events, .. } = kubectl.get(["nodes,pods,events"]).unwrap_or_default();
    let mut lines = unready_nodes(&nodes, kubelet_log);
    lines.extend(unready_pods(&pods, &events, |pod| kubectl.last_log(pod)));
    lines.extend(warnings(&events, |object| is_without_a_pod(object, &pods)));
    lines.join("\n")
}

/// Whether warnings about it are shown although no pod is: a workload may not make its pods, and a pod that was deleted may
/// say why its successor is late.
fn is_without_a_pod(object: &Reference, pods: &[Pod]) -> bool {
    match object.kind.as_str() {
        "DaemonSet" | "ReplicaSet" => true,
        "Pod" => !pods.iter().any(|pod| pod.metadata.name == object.name),
        _ => false,
    }
}

fn unready_nodes(nodes: &[Node], log: impl Fn(&str) -> String) -> Vec<String> {
    let describe = |node: &Node| {
        let mut lines = vec![format!("node {}", node.unready()?)];
        lines.extend(quoted("kubelet", &log(&node.metadata.name)));
        Some(lines)
    };
    nodes.iter().filter_map(describe).flatten().collect()
}

/// The kubelet's last lines. Docker is asked for them: the API server may know nothing of this node.
fn kubelet_log(node: &str) -> String {
    let journal = ["journalctl", "--unit=kubelet", "--lines=60", "--output=cat", "--no-pager"];
    let asked = docker(["exec", node]).args(journal).limit(Duration::from_secs(10)).shielded().run();
    asked.map_or_else(|error| error.reason(), |output| log::newest(output.stdout.lines(), 6).join("\n"))
}

/// Of the pods of one workload, which fail alike, only the first is described in full.
fn unready_pods(pods: &[Pod], events: &[Event], log: impl Fn(&str) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    let mut workloads = BTreeSet::new();
    for pod in pods.iter().filter(|pod| !pod.is_ready()) {
        let name = &pod.metadata.name;
        let node = if pod.spec.node_name.is_empty() { "no node" } else { &pod.spec.node_name };
        lines.push(format!("pod {name} on {node}: {}, not ready", pod.status.phase));
        if workloads.insert(pod.metadata.labels.get("app.kubernetes.io/name")) {
            lines.extend(quoted("log", &log(name)));
            lines.extend(warnings(events, |object| object.name == *name));
        }
    }
    lines
}

fn warnings(events: &[Event], about: impl Fn(&Reference) -> bool) -> Vec<String> {
    let mut warnings: Vec<&Event> =
        events.iter().filter(|event| event.r#type == "Warning" && about(&event.involved_object)).collect();
    warnings.sort_by_key(|event| event.last_timestamp.as_ref().or(event.event_time.as_ref()));
    let newest = warnings.len().saturating_sub(NEWEST);
    let line = |event: &&Event| {
        let Reference { kind, name } = &event.involved_object;
        format!("  event | {} {name}: {}: {}", kind.to_lowercase(), event.reason, event.message)
    };
    warnings[newest..].iter().map(line).collect()
}

fn quoted<'t>(name: &'t str, text: &'t str) -> impl Iterator<Item = String> + 't {
    text.lines().map(move |line| format!("  {name} | {line}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(items: &[Value]) -> Objects {
        serde_json::from_value(json!({ "items": items })).unwrap()
    }

    fn pod(name: &str, workload: &str, ready: bool) -> Value {
        json!({
            "kind": "Pod",
            "metadata": { "name": name, "labels": { "app.kubernetes.io/name": workload } },
            "spec": { "nodeName": "worker" },
            "status": { "phase": "Running", "containerStatuses": [{ "ready": ready }] },
        })
    }

    fn event(name: &str, time: u8, message: &str) -> Value {
        json!({
            "kind": "Event",
            "type": "Warning",
            "involvedObject": { "kind": "Pod", "name": name },
            "reason": "Unhealthy",
            "message": message,
            // The scheduler's have only the other time.
            (if time.is_multiple_of(2) { "lastTimestamp" } else { "eventTime" }): format!("2026-01-01T00:00:{time:02}Z"),
        })
    }

    #[test]
    fn the_first_pod_of_a_workload_speaks_for_all_and_ready_ones_are_silent() {
        let objects = of(&[
            pod("e-1", "exporter", false),
            pod("e-2", "exporter", false),
            pod("p-1", "prometheus", true),
            event("e-1", 2, "newer"),
            event("e-1", 1, "older"),
            event("e-2", 3, "alike"),
            event("p-1", 4, "passed"),
        ]);
        assert_eq!(
            unready_pods(&objects.pods, &objects.events, |pod| format!("words of {pod}")),
            [
                "pod e-1 on worker: Running, not ready",
                "  log | words of e-1",
                "  event | pod e-1: Unhealthy: older",
                "  event | pod e-1: Unhealthy: newer",
                "pod e-2 on worker: Running, not ready",
            ]
        );
    }

    #[test]
    fn the_events_of_deleted_pods_are_shown() {
        let objects =
            of(&[pod("e-2", "exporter", false), event("e-1", 1, "container not found"), event("e-2", 2, "other")]);
        let shown = warnings(&objects.events, |object| is_without_a_pod(object, &objects.pods));
        assert_eq!(shown, ["  event | pod e-1: Unhealthy: container not found"]);
    }

    #[test]
    fn the_newest_warnings_are_shown() {
        let events: Vec<Value> = (0..9).rev().map(|time| event("e", time, &format!("at {time}"))).collect();
        let shown = warnings(&of(&events).events, |_| true);
        assert_eq!(shown.len(), NEWEST);
        assert_eq!(shown[NEWEST - 1], "  event | pod e: Unhealthy: at 8");
    }

    #[test]
    fn an_unready_node_is_shown_with_its_kubelets_words() {
        let node = |name: &str, ready: &str| {
            let condition = json!({ "type": "Ready", "status": ready, "message": "no network" });
            json!({ "kind": "Node", "metadata": { "name": name }, "status": { "conditions": [condition] } })
        };
        let nodes = of(&[node("a", "True"), node("b", "False")]).nodes;
        let lines = unready_nodes(&nodes, |node| format!("I am {node}"));
        assert_eq!(lines, ["node b: no network", "  kubelet | I am b"]);
    }
}
