//! Kubernetes' objects, as `kubectl get --output json` writes them: the few kinds that the harness reads, and of each the
//! few fields that it needs. (The crate k8s-openapi has all of both, and takes 13 s of processor time to compile.)

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Structs by their fields. What the API server leaves out is empty, and its names are in camel case.
macro_rules! structs {
    ($($(#[$doc:meta])* $name:ident $(<$($param:ident),*>)? { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $name $(<$($param),*>)? { $($(#[$attribute])* pub $field: $type),* }
    )* };
}

structs! {
    /// What all objects but events are made of.
    Object<Spec, Status> { metadata: Metadata, spec: Spec, status: Status }
    Metadata {
        name: String, labels: BTreeMap<String, String>, generation: u64, owner_references: Vec<Reference>,
        /// Of an object that is on its way out.
        deletion_timestamp: Option<String>,
    }
    Reference { kind: String, name: String }
    Condition { r#type: String, status: String, reason: String, message: String }

    NodeSpec { taints: Vec<Taint> }
    Taint { key: String, effect: String }
    NodeStatus { conditions: Vec<Condition> }

    PodSpec { node_name: String, volumes: Vec<Volume> }
    Volume { name: String }
    PodStatus {
        phase: String, #[serde(rename = "podIP")] ip: String, conditions: Vec<Condition>,
        init_container_statuses: Vec<Container>, container_statuses: Vec<Container>,
    }
    Container { name: String, ready: bool, restart_count: u64, state: ContainerState, last_state: ContainerState }
    /// Neither, of a container that runs.
    ContainerState { waiting: Option<Waiting>, terminated: Option<Terminated> }
    Waiting { reason: String, message: String }
    Terminated { exit_code: i64, reason: String }

    DaemonSetStatus {
        observed_generation: u64, desired_number_scheduled: usize, current_number_scheduled: usize,
        updated_number_scheduled: usize, number_available: usize,
    }
    DeploymentSpec { replicas: u64 }
    DeploymentStatus {
        observed_generation: u64, replicas: u64, updated_replicas: u64, available_replicas: u64,
        conditions: Vec<Condition>,
    }

    Event {
        r#type: String, involved_object: Reference, reason: String, message: String,
        /// The scheduler's events have only the time below it.
        last_timestamp: Option<String>, event_time: Option<String>,
    }
}

pub type Node = Object<NodeSpec, NodeStatus>;
pub type Pod = Object<PodSpec, PodStatus>;
pub type DaemonSet = Object<IgnoredAny, DaemonSetStatus>;
pub type Deployment = Object<DeploymentSpec, DeploymentStatus>;

/// What one `kubectl get` found, by kind.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "List")]
pub struct Objects {
    pub nodes: Vec<Node>,
    pub pods: Vec<Pod>,
    pub daemon_sets: Vec<DaemonSet>,
    pub deployments: Vec<Deployment>,
    pub events: Vec<Event>,
}

/// The answer of `kubectl get` to all but the name of a single object.
#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(tag = "kind")]
enum Item {
    Node(Node),
    Pod(Pod),
    DaemonSet(DaemonSet),
    Deployment(Deployment),
    Event(Event),
}

impl From<List> for Objects {
    fn from(list: List) -> Self {
        let mut objects = Self::default();
        for item in list.items {
            match item {
                Item::Node(node) => objects.nodes.push(node),
                Item::Pod(pod) => objects.pods.push(pod),
                Item::DaemonSet(set) => objects.daemon_sets.push(set),
                Item::Deployment(deployment) => objects.deployments.push(deployment),
                Item::Event(event) => objects.events.push(event),
            }
        }
        objects
    }
}

impl Node {
    /// Its name and why it is not ready; nothing if it is.
    pub fn unready(&self) -> Option<String> {
        let ready = condition(&self.status.conditions, "Ready");
        let why = match ready {
            Some(ready) if ready.status == "True" => return None,
            Some(ready) if !ready.message.is_empty() => &ready.message,
            _ => "its kubelet has not reported yet",
        };
        Some(format!("{}: {why}", self.metadata.name))
    }
}

impl Pod {
    /// Its containers, the init containers first.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    pub fn is_ready(&self) -> bool {
        self.containers().next().is_some() && self.containers().all(|container| container.ready)
    }

    /// Whether another one has to take its place.
    pub fn is_gone(&self) -> bool {
        self.metadata.deletion_timestamp.is_some() || self.status.phase == "Failed"
    }
}

/// The condition of that type.
pub fn condition<'c>(conditions: &'c [Condition], name: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.r#type == name)
}
