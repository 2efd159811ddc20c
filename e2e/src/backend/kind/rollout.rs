//! Roll-outs, and the wait for them, which trouble that does not pass by itself ends early.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::diagnosis::describe;
use super::kubectl::Kubectl;
use super::objects::{DaemonSet, Deployment, Node, Objects};
use super::trouble;
use crate::wait::interrupt;
use crate::wait::poll::{self, Attempt};

/// How often the cluster is asked.
const EVERY: Duration = Duration::from_millis(300);

/// The state of a roll-out.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    Done,
    Waiting(String),
    /// It does not finish by itself.
    Stuck(String),
}

/// A roll-out that is waited for.
#[derive(Debug, Default)]
struct RollOut {
    /// Since when each trouble has lasted without a break.
    troubles: HashMap<String, Instant>,
}

/// Waits until that many nodes are ready; returns their names.
pub fn await_nodes(kubectl: &Kubectl, count: usize, limit: Duration) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    wait(kubectl, &format!("{count} nodes ready"), "nodes", limit, |objects| {
        names = objects.nodes.iter().map(|node| node.metadata.name.clone()).collect();
        let mut unready: Vec<String> = objects.nodes.iter().filter_map(Node::unready).collect();
        if names.len() != count {
            unready.insert(0, format!("{} of {count} nodes registered", names.len()));
        }
        if unready.is_empty() { State::Done } else { State::Waiting(unready.join("; ")) }
    })?;
    Ok(names)
}

/// Waits until every workload of ours runs as its newest template says, a `DaemonSet` on every node.
pub fn await_workloads(kubectl: &Kubectl, limit: Duration) -> Result<()> {
    let mut roll_out = RollOut::default();
    wait(kubectl, "the roll-out", "nodes,daemonsets,deployments,pods", limit, |objects| {
        roll_out.state(objects, Instant::now())
    })
}

fn wait(
    kubectl: &Kubectl,
    what: &str,
    kinds: &str,
    limit: Duration,
    mut state: impl FnMut(&Objects) -> State,
) -> Result<()> {
    let waited = poll::until(what, limit, EVERY, || match kubectl.get([kinds]).map(|objects| state(&objects)) {
        Ok(State::Done) => Attempt::Ready(()),
        Ok(State::Waiting(why)) => Attempt::NotYet(why),
        Ok(State::Stuck(why)) => Attempt::Failed(anyhow!(why)),
        Err(error) => Attempt::NotYet(format!("{error:#}")),
    });
    waited.map_err(|error| {
        let more = if interrupt::seen() { String::new() } else { describe(kubectl) };
        if more.is_empty() { error } else { anyhow!("{error:#}\n{more}") }
    })
}

impl RollOut {
    fn state(&mut self, objects: &Objects, now: Instant) -> State {
        let sets = objects.daemon_sets.iter().filter_map(|set| daemon_set(set, objects.nodes.len()));
        let unfinished: Vec<String> = sets.chain(objects.deployments.iter().filter_map(deployment)).collect();
        if unfinished.is_empty() {
            return State::Done;
        }
        let troubles = trouble::of(objects);
        self.troubles.retain(|about, _| troubles.iter().any(|trouble| trouble.about == *about));
        let lasting = troubles.into_iter().find(|trouble| {
            let since = *self.troubles.entry(trouble.about.clone()).or_insert(now);
            now.duration_since(since) >= trouble.limit.mul_f64(poll::patience())
        });
        lasting.map_or_else(|| State::Waiting(unfinished.join("; ")), |trouble| State::Stuck(trouble.why))
    }
}

/// Progress; `None` once every node has a new pod that is available.
fn daemon_set(set: &DaemonSet, nodes: usize) -> Option<String> {
    let (name, status) = (&set.metadata.name, &set.status);
    let counts = [status.desired_number_scheduled, status.updated_number_scheduled, status.number_available];
    let [desired, updated, available] = counts;
    let is_done = status.observed_generation >= set.metadata.generation && counts == [nodes; 3];
    let far =
        format!("DaemonSet {name}: {desired} pods wanted on {nodes} nodes, {updated} updated, {available} available");
    (!is_done).then_some(far)
}

/// Progress; `None` once all of its pods are new and available.
fn deployment(deployment: &Deployment) -> Option<String> {
    let (name, wanted, status) = (&deployment.metadata.name, deployment.spec.replicas, &deployment.status);
    let counts = [status.replicas, status.updated_replicas, status.available_replicas];
    let [all, updated, available] = counts;
    let is_done = status.observed_generation >= deployment.metadata.generation && counts == [wanted; 3];
    let far = format!("Deployment {name}: {updated} of {wanted} pods updated, {available} available, {all} in all");
    (!is_done).then_some(far)
}

#[cfg(test)]
mod tests;
