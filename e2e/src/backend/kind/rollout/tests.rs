//! Two nodes, a `DaemonSet` and a `Deployment`, as `kubectl get` writes them, and what state of a roll-out that is.

use serde_json::{Value, json};

use super::*;

fn node(name: &str, ready: &str) -> Value {
    let condition = json!({ "type": "Ready", "status": ready, "message": "Kubelet stopped posting node status." });
    json!({ "kind": "Node", "metadata": { "name": name }, "status": { "conditions": [condition] } })
}

fn set(generation: u64, desired: u64, updated: u64, available: u64) -> Value {
    let status = json!({
        "observedGeneration": generation,
        "desiredNumberScheduled": desired,
        "currentNumberScheduled": updated,
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
    });
    json!({ "kind": "DaemonSet", "metadata": { "name": "e", "generation": 2 }, "status": status })
}

fn deployment(generation: u64, all: u64, updated: u64, available: u64) -> Value {
    let status = json!({
        "observedGeneration": generation,
        "replicas": all,
        "updatedReplicas": updated,
        "availableReplicas": available,
    });
    let metadata = json!({ "name": "p", "generation": 2 });
    json!({ "kind": "Deployment", "metadata": metadata, "spec": { "replicas": 1 }, "status": status })
}

/// A pod whose one container is in that state.
fn pod(state: &Value, restarts: u64, ready: bool) -> Value {
    let last = json!({ "terminated": { "exitCode": 2, "reason": "Error" } });
    let status = json!({ "name": "c", "ready": ready, "restartCount": restarts, "state": state, "lastState": last });
    let status = json!({ "phase": "Running", "containerStatuses": [status] });
    json!({ "kind": "Pod", "metadata": { "name": "p-1" }, "status": status })
}

fn waiting(reason: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": "its message" } })
}

/// So many seconds, stretched as the deadlines are.
fn patient(seconds: u64) -> Duration {
    Duration::from_secs(seconds).mul_f64(poll::patience())
}

fn objects(items: &[Value]) -> Objects {
    serde_json::from_value(json!({ "kind": "List", "items": items })).unwrap()
}

/// The state of a roll-out after this time with these beside two nodes and a `Deployment` that is not done.
fn after(seconds: u64, more: &[Value]) -> State {
    let all = [&[node("a", "True"), node("b", "True"), deployment(2, 1, 1, 0)], more].concat();
    let (mut roll_out, began) = (RollOut::default(), Instant::now());
    roll_out.state(&objects(&all), began);
    roll_out.state(&objects(&all), began + patient(seconds))
}

fn stuck(seconds: u64, more: Value) -> String {
    let more = [more];
    let before = after(seconds - 1, &more);
    assert!(matches!(before, State::Waiting(_)), "counted before {seconds} s: {before:?}");
    match after(seconds, &more) {
        State::Stuck(why) => why,
        other => panic!("after {seconds} s: {other:?}"),
    }
}

#[test]
fn it_is_done_when_every_pod_is_new_and_available() {
    let state = |set: Value, deployment: Value| {
        let all = [node("a", "True"), node("b", "True"), set, deployment];
        RollOut::default().state(&objects(&all), Instant::now())
    };
    assert_eq!(state(set(2, 2, 2, 2), deployment(2, 1, 1, 1)), State::Done);
    let far = "DaemonSet e: 1 pods wanted on 2 nodes, 1 updated, 0 available; \
               Deployment p: 1 of 1 pods updated, 1 available, 2 in all";
    assert_eq!(state(set(2, 1, 1, 0), deployment(2, 2, 1, 1)), State::Waiting(far.into()));
    // Counts of an older template, and none at all.
    assert!(matches!(state(set(1, 2, 2, 2), deployment(2, 1, 1, 1)), State::Waiting(_)));
    assert!(matches!(state(set(2, 2, 2, 2), deployment(1, 1, 1, 1)), State::Waiting(_)));
    let unseen = json!({ "kind": "DaemonSet", "metadata": { "name": "e", "generation": 1 } });
    assert!(matches!(state(unseen, deployment(2, 1, 1, 1)), State::Waiting(_)));
}

#[test]
fn a_container_that_cannot_start_is_reported_in_the_clusters_words_with_advice() {
    let why = stuck(5, pod(&waiting("ImagePullBackOff"), 0, false));
    assert!(why.starts_with("pod p-1, container c: ImagePullBackOff: its message; no node has this image"), "{why}");
    let why = stuck(5, pod(&waiting("CrashLoopBackOff"), 3, false));
    assert!(why.ends_with("its message; its last log lines say why it ends"), "{why}");
}

#[test]
fn containers_that_start_slowly_have_more_time() {
    let why = stuck(20, pod(&json!({ "running": {} }), 1, false));
    assert!(why.contains("c: restarted 1 times, last after exit code 2 (Error), and not ready"), "{why}");
    let why = stuck(45, pod(&json!({ "running": {} }), 0, false));
    assert!(why.contains("c: running, but not ready"), "{why}");
    let why = stuck(60, pod(&waiting("ContainerCreating"), 0, false));
    assert!(why.contains("c: ContainerCreating for a minute"), "{why}");
}

#[test]
fn a_ready_container_and_a_pod_being_deleted_are_no_trouble() {
    let mut going = pod(&waiting("CrashLoopBackOff"), 1, false);
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    for fine in [pod(&json!({ "running": {} }), 5, true), going] {
        assert!(matches!(after(600, &[fine]), State::Waiting(_)));
    }
}

#[test]
fn a_pod_that_fits_nowhere_and_a_deployment_that_may_make_none() {
    let condition = json!({ "type": "PodScheduled", "reason": "Unschedulable", "message": "too little memory" });
    let pod = json!({ "kind": "Pod", "metadata": { "name": "p-1" }, "status": { "conditions": [condition] } });
    assert_eq!(stuck(10, pod), "pod p-1 fits on no node: too little memory");
    let mut refused = deployment(2, 0, 0, 0);
    refused["status"]["conditions"] =
        json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }]);
    assert_eq!(stuck(10, refused), "Deployment p: exceeded quota");
}

#[test]
fn a_node_that_is_not_ready_or_left_out_is_named() {
    let why = stuck(20, node("n", "Unknown"));
    assert_eq!(why, "node n: Kubelet stopped posting node status.; see its kubelet's log");
    let mut control_plane = node("first", "True");
    control_plane["spec"]["taints"] = json!([{ "key": "control-plane", "effect": "NoSchedule" }]);
    let on = |node: &str| {
        let metadata = json!({ "name": format!("e-{node}"), "ownerReferences": [{ "name": "e" }] });
        json!({ "kind": "Pod", "metadata": metadata, "spec": { "nodeName": node } })
    };
    let nodes = [control_plane, set(2, 2, 2, 2), on("a"), on("b")];
    let still_there = [&nodes[..], &[on("first")]].concat();
    assert!(matches!(after(600, &still_there), State::Waiting(_)));
    let State::Stuck(why) = after(10, &nodes) else { panic!() };
    assert!(why.starts_with("DaemonSet e leaves out first (taint control-plane:NoSchedule): its pods must"), "{why}");
    assert!(stuck(20, set(2, 2, 1, 1)).starts_with("DaemonSet e: 1 of 2 pods created; "));
}

#[test]
fn trouble_that_passes_is_forgotten() {
    let (mut roll_out, began) = (RollOut::default(), Instant::now());
    let fine = objects(&[deployment(2, 1, 1, 0)]);
    let crashing = objects(&[deployment(2, 1, 1, 0), pod(&waiting("CrashLoopBackOff"), 1, false)]);
    let running_again = objects(&[deployment(2, 1, 1, 0), pod(&json!({ "running": {} }), 2, false)]);
    let mut at = |seconds, objects| match roll_out.state(objects, began + patient(seconds)) {
        State::Stuck(why) => Some(why),
        _ => None,
    };
    for (seconds, objects) in [(0, &crashing), (600, &fine), (601, &crashing)] {
        assert_eq!(at(seconds, objects), None, "{seconds} s");
    }
    // Between two crashes the container runs, which is no recovery.
    assert_eq!(at(604, &running_again), None);
    assert!(at(606, &crashing).is_some());
}
