//! Trouble: states of nodes, workloads and pods that do not pass by themselves. Most also occur for a moment in a normal
//! roll-out, so each kind must last for some time before it counts.

use std::time::Duration;

use super::objects::{Container, DaemonSet, Deployment, Node, Objects, Pod, condition};

/// A state that does not pass by itself.
#[derive(Debug)]
pub struct Trouble {
    /// What it is about: the same for as long as it lasts, even if the cluster's message changes.
    pub about: String,
    /// What was seen, and what to do.
    pub why: String,
    /// How long it must last before it counts.
    pub limit: Duration,
}

/// The trouble in a cluster, causes before effects.
pub fn of(objects: &Objects) -> Vec<Trouble> {
    let nodes = objects.nodes.iter().filter_map(node);
    let pods = objects.pods.iter().filter(|pod| !pod.is_gone()).filter_map(pod);
    let sets = objects.daemon_sets.iter().filter_map(|set| daemon_set(set, objects));
    nodes.chain(pods).chain(sets).chain(objects.deployments.iter().filter_map(deployment)).collect()
}

impl Trouble {
    /// It must last that many seconds.
    fn new(about: impl Into<String>, seconds: u64, why: String) -> Self {
        Self { about: about.into(), why, limit: Duration::from_secs(seconds) }
    }
}

fn node(node: &Node) -> Option<Trouble> {
    let why = format!("node {}; see its kubelet's log", node.unready()?);
    Some(Trouble::new(&node.metadata.name, 20, why))
}

fn pod(pod: &Pod) -> Option<Trouble> {
    let name = &pod.metadata.name;
    if let Some(scheduled) = condition(&pod.status.conditions, "PodScheduled")
        && scheduled.reason == "Unschedulable"
    {
        let why = format!("pod {name} fits on no node: {}", scheduled.message);
        return Some(Trouble::new(format!("{name} scheduling"), 10, why));
    }
    let container = pod.containers().find(|container| !container.ready)?;
    let (phase, seconds, why) = unready(container);
    let why = format!("pod {name}, container {}: {why}", container.name);
    Some(Trouble::new(format!("{name} {phase}"), seconds, why))
}

/// The phase of a container that is not ready, how many seconds that may take, and what was seen.
fn unready(container: &Container) -> (&'static str, u64, String) {
    const PROBE: &str = "its log and the events of its probes say why; its probes must use its own port and path";
    if let Some(waiting) = &container.state.waiting
        && let Some(advice) = advice(&waiting.reason)
    {
        return ("start", 5, format!("{}: {}; {advice}", waiting.reason, waiting.message));
    }
    if container.restart_count > 0 {
        // The same trouble as a crash loop: a container is in that state only between two of its starts.
        let last = container.last_state.terminated.as_ref();
        let last = last.map(|last| format!(", last after exit code {} ({})", last.exit_code, last.reason));
        let last = last.unwrap_or_default();
        return ("start", 20, format!("restarted {} times{last}, and not ready; {PROBE}", container.restart_count));
    }
    match &container.state.waiting {
        Some(waiting) => ("creation", 60, format!("{} for a minute; its events say why", waiting.reason)),
        None => ("readiness", 45, format!("running, but not ready; {PROBE}")),
    }
}

/// What to change about a waiting container that does not start by itself.
fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "CrashLoopBackOff" => "its last log lines say why it ends",
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => {
            "no node has this image: correct its name in the manifests, or use another one with `--image NAME=REF`"
        }
        "CreateContainerConfigError" => {
            "a ConfigMap or Secret that it refers to is missing, or its user is not allowed"
        }
        "CreateContainerError" | "RunContainerError" | "StartError" => {
            "correct the container's command or security context in the manifests"
        }
        _ => return None,
    })
}

fn daemon_set(set: &DaemonSet, objects: &Objects) -> Option<Trouble> {
    let (name, status) = (&set.metadata.name, &set.status);
    let (desired, created) = (status.desired_number_scheduled, status.current_number_scheduled);
    let is_own = |pod: &&Pod| pod.metadata.owner_references.iter().any(|owner| owner.name == *name);
    let has_pod = |node: &&Node| objects.pods.iter().filter(is_own).any(|pod| pod.spec.node_name == node.metadata.name);
    let left_out: Vec<String> = objects.nodes.iter().filter(|node| !has_pod(node)).map(with_taints).collect();
    // Until the roll-out comes to the node, an older pod is still on it.
    if desired < objects.nodes.len() && !left_out.is_empty() {
        let why = format!(
            "DaemonSet {name} leaves out {}: its pods must tolerate every taint, and its node selector must match every node",
            left_out.join(", ")
        );
        return Some(Trouble::new(name, 10, why));
    }
    let why = format!("DaemonSet {name}: {created} of {desired} pods created; the events say what forbids the others");
    (created < desired).then(|| Trouble::new(name, 20, why))
}

fn deployment(deployment: &Deployment) -> Option<Trouble> {
    let name = &deployment.metadata.name;
    let failure = condition(&deployment.status.conditions, "ReplicaFailure").filter(|is| is.status == "True")?;
    Some(Trouble::new(name, 10, format!("Deployment {name}: {}", failure.message)))
}

fn with_taints(node: &Node) -> String {
    let taints: Vec<String> = node.spec.taints.iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
    let name = &node.metadata.name;
    if taints.is_empty() { name.clone() } else { format!("{name} (taint {})", taints.join(", ")) }
}
