//! Trouble is told with its subject, the cluster's words and what to do, and only once it has lasted.

use serde_json::json;

use super::*;

fn only(objects: &[Value]) -> Trouble {
    let mut troubles = of(objects);
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    troubles.remove(0)
}

fn pod(status: &Value) -> Value {
    json!({ "kind": "Pod", "metadata": { "name": "p-1" }, "status": status })
}

fn container(state: &Value, restarts: u64, ready: bool) -> Value {
    let last = json!({ "terminated": { "exitCode": 2, "reason": "Error" } });
    let status = json!({ "name": "c", "ready": ready, "restartCount": restarts, "state": state, "lastState": last });
    pod(&json!({ "phase": "Running", "containerStatuses": [status] }))
}

fn waiting(reason: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": "its message" } })
}

#[test]
fn a_container_that_cannot_start_is_told_with_the_clusters_words_and_advice() {
    let image = only(&[container(&waiting("ImagePullBackOff"), 0, false)]);
    assert!(
        image.what.starts_with("pod p-1, container c: ImagePullBackOff: its message; no node has"),
        "{}",
        image.what
    );
    let crash = only(&[container(&waiting("CrashLoopBackOff"), 3, false)]);
    assert!(crash.what.ends_with("its message; its last log lines say why it ends"), "{}", crash.what);
}

#[test]
fn a_restarted_container_is_in_the_same_trouble_between_its_crashes() {
    let running = only(&[container(&json!({ "running": {} }), 1, false)]);
    assert!(
        running.what.contains("restarted 1 times, last after it ended with exit code 2 (Error), and not ready"),
        "{}",
        running.what
    );
    assert_eq!(running.about, only(&[container(&waiting("CrashLoopBackOff"), 1, false)]).about);
}

#[test]
fn a_container_that_is_ready_or_whose_pod_leaves_is_in_no_trouble() {
    assert!(of(&[container(&json!({ "running": {} }), 5, true)]).is_empty());
    let mut leaving = container(&waiting("CrashLoopBackOff"), 1, false);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert!(of(&[leaving]).is_empty());
}

#[test]
fn containers_that_take_their_time_get_more_of_it() {
    let creating = only(&[container(&waiting("ContainerCreating"), 0, false)]);
    let unready = only(&[container(&json!({ "running": {} }), 0, false)]);
    let hopeless = only(&[container(&waiting("InvalidImageName"), 0, false)]);
    assert!(creating.belief > unready.belief && unready.belief > hopeless.belief);
}

#[test]
fn a_pod_that_fits_nowhere_and_a_deployment_that_may_not_make_any() {
    let condition = json!({ "type": "PodScheduled", "reason": "Unschedulable", "message": "too little memory" });
    let pod = only(&[pod(&json!({ "conditions": [condition] }))]);
    assert_eq!(pod.what, "pod p-1 fits on no node: too little memory");
    let condition = json!({ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" });
    let deployment =
        json!({ "kind": "Deployment", "metadata": { "name": "d" }, "status": { "conditions": [condition] } });
    assert_eq!(only(&[deployment]).what, "Deployment d: exceeded quota");
}

#[test]
fn a_node_that_a_daemon_set_leaves_out_is_named_with_its_taint() {
    let node = |name: &str, taints: Value| {
        let ready = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        json!({ "kind": "Node", "metadata": { "name": name }, "spec": { "taints": taints }, "status": ready })
    };
    let taint = json!([{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }]);
    let set = json!({
        "kind": "DaemonSet",
        "metadata": { "name": "e" },
        "status": { "desiredNumberScheduled": 1, "currentNumberScheduled": 1 },
    });
    let metadata = json!({ "name": "e-1", "ownerReferences": [{ "name": "e" }] });
    let pod = json!({ "kind": "Pod", "metadata": metadata, "spec": { "nodeName": "worker" } });
    let trouble = only(&[node("worker", json!(null)), node("first", taint), set, pod]);
    let begins = "DaemonSet e leaves out first (taint node-role.kubernetes.io/control-plane:NoSchedule): ";
    assert!(trouble.what.starts_with(begins), "{}", trouble.what);
}

#[test]
fn a_node_that_is_not_ready_is_told_with_its_reason() {
    let condition = json!({ "type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status." });
    let node = json!({ "kind": "Node", "metadata": { "name": "n" }, "status": { "conditions": [condition] } });
    assert!(only(&[node]).what.starts_with("node n: Kubelet stopped posting node status.; "));
}

#[test]
fn trouble_is_believed_once_it_has_lasted_and_forgotten_when_it_passes() {
    let troubles = of(&[container(&waiting("CrashLoopBackOff"), 1, false)]);
    let (mut memory, began) = (Memory::default(), Instant::now());
    let later = |seconds| began + Duration::from_secs(seconds);
    assert!(memory.believe(&troubles, began).is_none());
    assert!(memory.believe(&[], later(600)).is_none());
    assert!(memory.believe(&troubles, later(601)).is_none());
    assert!(memory.believe(&troubles, later(1300)).is_some());
}
