//! Kubernetes' objects, as `kubectl get --output json` writes them: the few kinds that the harness reads, and of each the
//! few fields that it needs. (The crate k8s-openapi has all of both, and takes 13 s of processor time to compile.)

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// An object; what the API server leaves out is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Object<Spec, Status> {
    pub metadata: Metadata,
    pub spec: Spec,
    pub status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub generation: u64,
    pub owner_references: Vec<Reference>,
    /// Of an object that is being deleted.
    pub deletion_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Reference {
    pub kind: String,
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    pub r#type: String,
    pub status: String,
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSpec {
    pub taints: Vec<Taint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Taint {
    pub key: String,
    pub effect: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    pub node_name: String,
    pub volumes: Vec<Volume>,
    pub containers: Vec<ContainerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerSpec {
    pub ports: Vec<ContainerPort>,
    pub readiness_probe: Option<Probe>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    pub name: String,
    pub container_port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Probe {
    pub http_get: Option<HttpGet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpGet {
    pub port: Port,
    pub scheme: String,
}

/// A port, by its number or by the name that the container gives it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Port {
    Number(u16),
    Name(String),
}

impl Default for Port {
    fn default() -> Self {
        Self::Number(0)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    pub phase: String,
    #[serde(rename = "podIP")]
    pub ip: String,
    pub conditions: Vec<Condition>,
    pub init_container_statuses: Vec<Container>,
    pub container_statuses: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    pub name: String,
    pub ready: bool,
    pub restart_count: u64,
    pub state: ContainerState,
    pub last_state: ContainerState,
}

/// Both are `None` for a container that runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerState {
    pub waiting: Option<Waiting>,
    pub terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Waiting {
    pub reason: String,
    pub message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    pub exit_code: i64,
    pub reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DaemonSetStatus {
    pub observed_generation: u64,
    pub desired_number_scheduled: usize,
    pub current_number_scheduled: usize,
    pub updated_number_scheduled: usize,
    pub number_available: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeploymentSpec {
    pub replicas: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeploymentStatus {
    pub observed_generation: u64,
    pub replicas: u64,
    pub updated_replicas: u64,
    pub available_replicas: u64,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    pub r#type: String,
    pub involved_object: Reference,
    pub reason: String,
    pub message: String,
    pub last_timestamp: Option<String>,
    /// The scheduler's events have only this time.
    pub event_time: Option<String>,
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

    /// The port and the scheme of its readiness probe.
    pub fn probe(&self) -> Option<(u16, &str)> {
        self.spec.containers.iter().find_map(|container| {
            let HttpGet { port, scheme } = container.readiness_probe.as_ref()?.http_get.as_ref()?;
            let port = match port {
                Port::Number(number) => *number,
                Port::Name(name) => container.ports.iter().find(|port| port.name == *name)?.container_port,
            };
            Some((port, scheme.as_str()))
        })
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
