//! Trouble: states of nodes, workloads and pods that do not pass by themselves. Each is believed only once it has
//! lasted for a time of its own, for most of them also occur for a moment on the way to a stack that runs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kubectl::name;
use crate::wait::poll;

/// States of a waiting container that need somebody to change something, and what.
const HOPELESS: [(&str, &str); 9] = [
    ("CrashLoopBackOff", ENDS),
    ("ErrImagePull", IMAGE),
    ("ImagePullBackOff", IMAGE),
    ("ErrImageNeverPull", IMAGE),
    ("InvalidImageName", IMAGE),
    ("CreateContainerConfigError", REFERENCE),
    ("CreateContainerError", START),
    ("RunContainerError", START),
    ("StartError", START),
];

const ENDS: &str = "its last log lines say why it ends";
const IMAGE: &str =
    "no node has that image: correct its name in the manifests, or put another in its place with `--image NAME=REF`";
const REFERENCE: &str = "the manifests refer to a ConfigMap, a Secret or a user that does not fit";
const START: &str = "correct the container's command or its security context in the manifests";
const PROBE: &str =
    "its last log lines and what its probes saw say why, and the probes' port and path have to be its own";

/// A state that does not pass by itself.
#[derive(Debug)]
pub struct Trouble {
    /// What it is about, whatever words the cluster finds for it this time.
    about: String,
    /// What was seen, and what to do.
    pub what: String,
    /// How long it has to last.
    belief: Duration,
}

/// Since when each trouble has been seen without a break.
#[derive(Debug, Default)]
pub struct Memory(HashMap<String, Instant>);

impl Memory {
    /// Remembers what is seen now, forgets what has passed, and gives the trouble that has lasted too long.
    pub fn believe<'t>(&mut self, seen: &'t [Trouble], now: Instant) -> Option<&'t Trouble> {
        self.0.retain(|about, _| seen.iter().any(|trouble| trouble.about == *about));
        seen.iter().find(|trouble| {
            let since = *self.0.entry(trouble.about.clone()).or_insert(now);
            now.duration_since(since) >= trouble.belief.mul_f64(poll::patience())
        })
    }
}

/// The trouble of a cluster's nodes, pods, daemon sets and deployments, causes before effects.
pub fn of(objects: &[Value]) -> Vec<Trouble> {
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let nodes = of_kind("Node").filter_map(node);
    let pods = of_kind("Pod").filter_map(pod);
    let sets = of_kind("DaemonSet").filter_map(|set| daemon_set(set, objects));
    nodes.chain(pods).chain(sets).chain(of_kind("Deployment").filter_map(deployment)).collect()
}

/// Why a node is not ready.
pub fn unready(node: &Value) -> Option<String> {
    let ready = condition(node, "Ready");
    (ready["status"] != "True")
        .then(|| format!("{}: {}", name(node), ready["message"].as_str().unwrap_or("its kubelet has said nothing yet")))
}

/// The states of a pod's containers, those of its init containers first.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|list| pod["status"][list].as_array())
        .flatten()
}

fn node(node: &Value) -> Option<Trouble> {
    let what = format!("node {}; its kubelet's last log lines say more", unready(node)?);
    Some(Trouble { about: name(node), what, belief: Duration::from_secs(20) })
}

fn pod(pod: &Value) -> Option<Trouble> {
    let leaves = pod["metadata"]["deletionTimestamp"].is_string() || pod["status"]["phase"] == "Failed";
    if leaves {
        return None;
    }
    let about = |what: &str| format!("{} {what}", name(pod));
    let trouble = |what: &str, belief: u64, text: String| {
        let what_to_say = format!("pod {}{text}", name(pod));
        Some(Trouble { about: about(what), what: what_to_say, belief: Duration::from_secs(belief) })
    };
    let scheduled = condition(pod, "PodScheduled");
    if scheduled["reason"] == "Unschedulable" {
        let why = scheduled["message"].as_str().unwrap_or_default();
        return trouble("scheduling", 10, format!(" fits on no node: {why}"));
    }
    let status = containers(pod).find(|status| status["ready"] != true)?;
    let container = status["name"].as_str().unwrap_or_default();
    let waiting = &status["state"]["waiting"];
    let reason = waiting["reason"].as_str().unwrap_or_default();
    let restarts = status["restartCount"].as_u64().unwrap_or_default();
    if let Some((_, advice)) = HOPELESS.iter().find(|(state, _)| *state == reason) {
        let message = waiting["message"].as_str().unwrap_or_default();
        return trouble("start", 5, format!(", container {container}: {reason}: {message}; {advice}"));
    }
    if restarts > 0 {
        // The same trouble as a crash loop, which a container is in only between two of its starts.
        let last = &status["lastState"]["terminated"];
        let (code, why) = (&last["exitCode"], last["reason"].as_str().unwrap_or_default());
        let text = format!(
            ", container {container}: restarted {restarts} times, last after it ended with exit code {code} ({why}), and not ready; {PROBE}"
        );
        return trouble("start", 20, text);
    }
    if waiting.is_object() {
        return trouble("creation", 60, format!(", container {container}: {reason} for a minute; its events say why"));
    }
    trouble("readiness", 45, format!(", container {container}: it runs, and is not ready; {PROBE}"))
}

fn daemon_set(set: &Value, objects: &[Value]) -> Option<Trouble> {
    let count = |field: &str| set["status"][field].as_u64().unwrap_or_default();
    let nodes: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Node").collect();
    let (desired, placed) = (count("desiredNumberScheduled"), count("currentNumberScheduled"));
    let about = name(set);
    if desired < nodes.len() as u64 {
        let has_pod = |node: &Value| {
            let on_it = |pod: &Value| pod["spec"]["nodeName"] == node["metadata"]["name"];
            objects.iter().any(|object| object["kind"] == "Pod" && owner(object) == about && on_it(object))
        };
        let left_out: Vec<String> = nodes.into_iter().filter(|node| !has_pod(node)).map(with_taints).collect();
        let what = format!(
            "DaemonSet {about} leaves out {}: its pods need a toleration of every taint, and a node selector that \
             fits every node",
            left_out.join(", ")
        );
        return Some(Trouble { about, what, belief: Duration::from_secs(10) });
    }
    (placed < desired).then(|| Trouble {
        what: format!(
            "DaemonSet {about}: {placed} of {desired} pods are created; the events say what forbids the rest"
        ),
        about,
        belief: Duration::from_secs(20),
    })
}

fn deployment(deployment: &Value) -> Option<Trouble> {
    let failure = condition(deployment, "ReplicaFailure");
    let message = failure["message"].as_str().filter(|_| failure["status"] == "True")?;
    let about = name(deployment);
    Some(Trouble { what: format!("Deployment {about}: {message}"), about, belief: Duration::from_secs(10) })
}

fn with_taints(node: &Value) -> String {
    let taint = |taint: &Value| {
        let text = |field: &str| taint[field].as_str().unwrap_or_default().to_owned();
        format!("{}:{}", text("key"), text("effect"))
    };
    let taints: Vec<String> = node["spec"]["taints"].as_array().into_iter().flatten().map(taint).collect();
    if taints.is_empty() { name(node) } else { format!("{} (taint {})", name(node), taints.join(", ")) }
}

fn owner(pod: &Value) -> &str {
    pod["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or_default()
}

fn condition<'o>(object: &'o Value, kind: &str) -> &'o Value {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests;
