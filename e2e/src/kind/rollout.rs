//! Roll-outs, awaited with an eye on what goes wrong: a pod that cannot come up ends the wait at once, with its own
//! words, instead of at a deadline with none. Only our namespace and the nodes are looked at.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::kubectl::{Kubectl, name};
use crate::interrupt;
use crate::poll::{self, Attempt};

/// States of a waiting container that do not pass by themselves.
const HOPELESS: [&str; 8] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
];

/// A hopeless state is believed once it has lasted this long: a volume may come a moment after its pod.
const BELIEF: Duration = Duration::from_secs(5);

/// Waits until so many nodes are ready.
///
/// # Errors
///
/// They are not before the deadline; the error has each one's own reason.
pub fn await_nodes(kubectl: &Kubectl, count: usize, limit: Duration) -> Result<Vec<String>> {
    poll::until(&format!("{count} nodes ready"), limit, Duration::from_millis(300), || match kubectl.get(["nodes"]) {
        Err(error) => Attempt::NotYet(format!("{error:#}")),
        Ok(nodes) => {
            let unready: Vec<String> = nodes.iter().filter_map(unready).collect();
            if unready.is_empty() && nodes.len() == count {
                Attempt::Ready(nodes.iter().map(name).collect())
            } else {
                Attempt::NotYet(format!("{} of {count} nodes registered; {}", nodes.len(), unready.join("; ")))
            }
        }
    })
}

/// Waits until every workload of ours runs as its newest template says, a `DaemonSet` on every node.
///
/// # Errors
///
/// A pod cannot come up, or the deadline passed: the error has states, events and last log lines.
pub fn await_workloads(kubectl: &Kubectl, nodes: usize, limit: Duration) -> Result<()> {
    let mut hopeless_since = None;
    let waited = poll::until("the roll-out", limit, Duration::from_millis(300), || {
        let seen = match look(kubectl, nodes) {
            Ok(seen) => seen,
            Err(error) => return Attempt::NotYet(format!("{error:#}")),
        };
        match (seen.hopeless, seen.waiting) {
            (Some(why), _) if hopeless_since.get_or_insert_with(Instant::now).elapsed() >= BELIEF => {
                Attempt::Failed(anyhow!("{why}"))
            }
            (Some(why), _) => Attempt::NotYet(why),
            (None, Some(waiting)) => {
                hopeless_since = None;
                Attempt::NotYet(waiting)
            }
            (None, None) => Attempt::Ready(()),
        }
    });
    let explain = |error| if interrupt::seen() { error } else { anyhow!("{error:#}\n{}", describe(kubectl)) };
    waited.map_err(explain)
}

struct Seen {
    /// A pod that will not come up by itself.
    hopeless: Option<String>,
    /// A workload that is not there yet.
    waiting: Option<String>,
}

fn look(kubectl: &Kubectl, nodes: usize) -> Result<Seen> {
    let objects = kubectl.get(["daemonsets,deployments,pods"])?;
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let waiting = of_kind("DaemonSet")
        .filter_map(|set| daemon_set(set, nodes))
        .chain(of_kind("Deployment").filter_map(deployment))
        .collect::<Vec<_>>();
    let hopeless = of_kind("Pod").find_map(hopeless);
    Ok(Seen { hopeless, waiting: (!waiting.is_empty()).then(|| waiting.join("; ")) })
}

fn daemon_set(set: &Value, nodes: usize) -> Option<String> {
    let count = |field: &str| set["status"][field].as_u64().unwrap_or_default();
    let (desired, updated, available) =
        (count("desiredNumberScheduled"), count("updatedNumberScheduled"), count("numberAvailable"));
    let name = name(set);
    if !observed(set) {
        Some(format!("DaemonSet {name}: its controller has not seen it yet"))
    } else if desired != nodes as u64 {
        Some(format!(
            "DaemonSet {name} wants {desired} pods on {nodes} nodes: a node is left out by a taint that it does not \
             tolerate, or by its node selector"
        ))
    } else if updated < desired || available < desired {
        Some(format!("DaemonSet {name}: {updated} of {desired} pods updated, {available} available"))
    } else {
        None
    }
}

fn deployment(deployment: &Value) -> Option<String> {
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let count = |field: &str| deployment["status"][field].as_u64().unwrap_or_default();
    let (all, updated, available) = (count("replicas"), count("updatedReplicas"), count("availableReplicas"));
    let done = observed(deployment) && all == wanted && updated == wanted && available == wanted;
    (!done).then(|| {
        format!(
            "Deployment {}: {updated} of {wanted} pods updated, {available} available, {all} in all",
            name(deployment)
        )
    })
}

fn observed(object: &Value) -> bool {
    object["status"]["observedGeneration"].as_u64() >= object["metadata"]["generation"].as_u64()
}

fn hopeless(pod: &Value) -> Option<String> {
    containers(pod).find_map(|status| {
        let waiting = &status["state"]["waiting"];
        let reason = waiting["reason"].as_str()?;
        HOPELESS.contains(&reason).then(|| {
            let message = waiting["message"].as_str().unwrap_or_default();
            format!("pod {}, container {}: {reason}: {message}", name(pod), status["name"].as_str().unwrap_or_default())
        })
    })
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|list| pod["status"][list].as_array())
        .flatten()
}

fn unready(node: &Value) -> Option<String> {
    let ready = node["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Ready")?;
    (ready["status"] != "True")
        .then(|| format!("{}: {}", name(node), ready["message"].as_str().unwrap_or("no reason given")))
}

/// What a person would ask for next: the state of every pod that is not ready, its last log lines, and the warnings.
#[must_use]
pub fn describe(kubectl: &Kubectl) -> String {
    let mut lines = Vec::new();
    for pod in kubectl.get(["pods"]).unwrap_or_default() {
        let ready = containers(&pod).next().is_some() && containers(&pod).all(|status| status["ready"] == true);
        if ready {
            continue;
        }
        let phase = pod["status"]["phase"].as_str().unwrap_or("unknown");
        let node = pod["spec"]["nodeName"].as_str().unwrap_or("no node");
        lines.push(format!("pod {} on {node}: {phase}, not ready", name(&pod)));
        lines.extend(kubectl.last_log(&name(&pod)).lines().map(|line| format!("  log | {line}")));
    }
    let events = kubectl.get(["events", "--field-selector", "type=Warning"]).unwrap_or_default();
    let newest = events.iter().rev().take(8).map(|event| {
        let text = |field: &str| event[field].as_str().unwrap_or_default();
        let object = event["involvedObject"]["name"].as_str().unwrap_or_default();
        format!("  event | {object}: {}: {}", text("reason"), text("message"))
    });
    lines.extend(newest);
    lines.join("\n")
}
