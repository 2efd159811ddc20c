//! Roll-outs, awaited with an eye on what goes wrong: trouble that will not pass ends the wait at once, with the
//! cluster's own words, instead of at a deadline with none. Only our namespace and the nodes are looked at.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::Value;

use super::diagnosis::describe;
use super::kubectl::{Kubectl, name};
use super::trouble::{self, Memory};
use crate::wait::interrupt;
use crate::wait::poll::{self, Attempt};

/// How often the cluster is asked.
const OFTEN: Duration = Duration::from_millis(300);

/// What to do about nodes that do not turn ready.
const LOOK: &str = "with `--keep` they stay for a look, such as `docker exec NODE journalctl --unit=kubelet`";

/// Waits until so many nodes are ready.
pub fn await_nodes(kubectl: &Kubectl, count: usize, limit: Duration) -> Result<Vec<String>> {
    let waited = poll::until(&format!("{count} nodes ready"), limit, OFTEN, || match kubectl.get(["nodes"]) {
        Err(error) => Attempt::NotYet(format!("{error:#}")),
        Ok(nodes) => {
            let unready: Vec<String> = nodes.iter().filter_map(trouble::unready).collect();
            if unready.is_empty() && nodes.len() == count {
                Attempt::Ready(nodes.iter().map(name).collect())
            } else {
                Attempt::NotYet(format!("{} of {count} nodes registered; {}", nodes.len(), unready.join("; ")))
            }
        }
    });
    explained(waited.map_err(|error| if interrupt::seen() { error } else { anyhow!("{error:#}; {LOOK}") }), kubectl)
}

/// Waits until every workload of ours runs as its newest template says, a `DaemonSet` on every node.
pub fn await_workloads(kubectl: &Kubectl, limit: Duration) -> Result<()> {
    let mut memory = Memory::default();
    let waited = poll::until("the roll-out", limit, OFTEN, || {
        let objects = match kubectl.get(["nodes,daemonsets,deployments,pods"]) {
            Ok(objects) => objects,
            Err(error) => return Attempt::NotYet(format!("{error:#}")),
        };
        let unfinished = unfinished(&objects);
        if unfinished.is_empty() {
            return Attempt::Ready(());
        }
        let troubles = trouble::of(&objects);
        match memory.believe(&troubles, Instant::now()) {
            Some(trouble) => Attempt::Failed(anyhow!("{}", trouble.what)),
            None => Attempt::NotYet(unfinished.join("; ")),
        }
    });
    explained(waited, kubectl)
}

/// Adds what a person would ask for next. Whoever interrupts asks for nothing.
fn explained<T>(waited: Result<T>, kubectl: &Kubectl) -> Result<T> {
    waited.map_err(|error| {
        let more = if interrupt::seen() { String::new() } else { describe(kubectl) };
        if more.is_empty() { error } else { anyhow!("{error:#}\n{more}") }
    })
}

/// The workloads that do not yet run as they should, and how far each has come.
fn unfinished(objects: &[Value]) -> Vec<String> {
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let nodes = of_kind("Node").count() as u64;
    let sets = of_kind("DaemonSet").filter_map(|set| daemon_set(set, nodes));
    sets.chain(of_kind("Deployment").filter_map(deployment)).collect()
}

fn daemon_set(set: &Value, nodes: u64) -> Option<String> {
    let count = |field: &str| set["status"][field].as_u64().unwrap_or_default();
    let (desired, updated, available) =
        (count("desiredNumberScheduled"), count("updatedNumberScheduled"), count("numberAvailable"));
    let done = observed(set) && desired == nodes && updated == nodes && available == nodes;
    (!done).then(|| {
        let name = name(set);
        format!("DaemonSet {name}: {desired} pods wanted on {nodes} nodes, {updated} updated, {available} available")
    })
}

fn deployment(deployment: &Value) -> Option<String> {
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let count = |field: &str| deployment["status"][field].as_u64().unwrap_or_default();
    let (all, updated, available) = (count("replicas"), count("updatedReplicas"), count("availableReplicas"));
    let done = observed(deployment) && all == wanted && updated == wanted && available == wanted;
    (!done).then(|| {
        let name = name(deployment);
        format!("Deployment {name}: {updated} of {wanted} pods updated, {available} available, {all} in all")
    })
}

/// Whether the numbers are about the newest template.
fn observed(object: &Value) -> bool {
    object["status"]["observedGeneration"].as_u64() >= object["metadata"]["generation"].as_u64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn objects(set: Value, deployment: Value) -> Vec<Value> {
        let node = |name: &str| json!({ "kind": "Node", "metadata": { "name": name } });
        let object = |kind: &str, name: &str, status: Value| json!({ "kind": kind, "metadata": { "name": name, "generation": 2 }, "spec": { "replicas": 1 }, "status": status });
        vec![node("a"), node("b"), object("DaemonSet", "exporter", set), object("Deployment", "prometheus", deployment)]
    }

    fn set(generation: u64, wanted: u64, updated: u64, available: u64) -> Value {
        json!({
            "observedGeneration": generation,
            "desiredNumberScheduled": wanted,
            "updatedNumberScheduled": updated,
            "numberAvailable": available,
        })
    }

    fn replicas(generation: u64, all: u64, updated: u64, available: u64) -> Value {
        json!({
            "observedGeneration": generation,
            "replicas": all,
            "updatedReplicas": updated,
            "availableReplicas": available,
        })
    }

    #[test]
    fn a_roll_out_is_done_when_every_pod_is_new_and_available() {
        assert_eq!(unfinished(&objects(set(2, 2, 2, 2), replicas(2, 1, 1, 1))), Vec::<String>::new());
    }

    #[test]
    fn how_far_each_has_come_is_told() {
        assert_eq!(
            unfinished(&objects(set(2, 1, 1, 0), replicas(2, 2, 1, 1))),
            [
                "DaemonSet exporter: 1 pods wanted on 2 nodes, 1 updated, 0 available",
                "Deployment prometheus: 1 of 1 pods updated, 1 available, 2 in all",
            ]
        );
    }

    #[test]
    fn numbers_of_an_older_template_do_not_count() {
        assert_eq!(unfinished(&objects(set(1, 2, 2, 2), replicas(1, 1, 1, 1))).len(), 2);
    }

    #[test]
    fn a_workload_without_a_status_is_unfinished() {
        assert_eq!(unfinished(&objects(json!({}), json!({}))).len(), 2);
    }
}
