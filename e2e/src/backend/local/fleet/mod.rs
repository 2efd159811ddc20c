//! A fleet: simulated nodes, all in one process. Each is the exporter's library on a tree, a name and a port of its own,
//! and Prometheus finds them through file discovery.

mod serve;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fs_err as fs;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::scenario_nodes::{ExporterState, NodeStep};
use crate::client::prometheus::{Labels, node_of};
use crate::process::child::Process;
use crate::process::guard;
use crate::run::Run;

pub use serve::enter;

/// How many nodes, and in how many clusters, whose nodes have the same names.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    pub nodes: usize,
    pub clusters: usize,
}

/// A node that listens, in the form that Prometheus' file discovery reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DiscoveredNode {
    targets: [String; 1],
    labels: Labels,
}

/// The file of discovery, in the run's directory; the trees are in the folder `nodes` beside it.
pub(super) const DISCOVERED: &str = "nodes.json";

/// One process binds all of them within a second or two.
const LIMIT: Duration = Duration::from_secs(60);

impl Fleet {
    /// How often Prometheus scrapes each: with two cores it keeps up with 250 scrapes a second beside much else. Nobody
    /// waits longer than ten seconds, and so 5000 nodes are twice as much.
    pub(super) fn interval(self) -> Duration {
        Duration::from_secs(self.nodes.div_ceil(250).min(10) as u64)
    }

    /// The cluster, where there are several, and the name of each node.
    fn names(self) -> impl Iterator<Item = (Option<String>, String)> {
        let Self { nodes, clusters } = self;
        let width = nodes.div_ceil(clusters).to_string().len();
        (0..nodes).map(move |index| {
            let cluster = (clusters > 1).then(|| format!("cluster-{}", index % clusters + 1));
            (cluster, format!("node-{:0width$}", index / clusters + 1))
        })
    }
}

impl DiscoveredNode {
    /// Scraped at this interval, whatever the configuration says: beside a scenario that is the scenario's own.
    fn every(mut self, interval: Duration) -> Self {
        for label in ["__scrape_interval__", "__scrape_timeout__"] {
            self.labels.insert(label.to_owned(), format!("{}s", interval.as_secs()));
        }
        self
    }

    pub(super) fn new(cluster: Option<String>, node: String, address: String) -> Self {
        let mut labels = Labels::from([("instance".to_owned(), node.clone()), ("node".to_owned(), node)]);
        labels.extend(cluster.map(|cluster| ("cluster".to_owned(), cluster)));
        Self { targets: [address], labels }
    }

    /// The node, as its samples name it.
    pub(super) fn node(&self) -> String {
        node_of(&self.labels)
    }

    pub(super) fn address(&self) -> &str {
        &self.targets[0]
    }
}

/// The folder of the trees in the run's directory; a node's has the name that its samples give it.
pub(super) fn trees(run: &Path) -> PathBuf {
    run.join("nodes")
}

/// A node needs two, its listener and Prometheus' connection, and a check of it one more in the lab itself. The usual
/// limit is for programs that use `select`.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Makes the trees, and starts the process; returns when every node listens.
pub(super) fn start(fleet: Fleet, run: &Run) -> Result<(Process, Vec<DiscoveredNode>)> {
    allow_open_files();
    let trees = trees(run.dir());
    for (index, (cluster, node)) in fleet.names().enumerate() {
        grow(&trees.join(cluster.unwrap_or_default()).join(node), index)?;
    }
    let lab = guard::program().context("simulated nodes run in a process of `lab`, and this is another program")?;
    let args = [serve::WORD.into(), trees.into(), fleet.nodes.to_string().into(), fleet.clusters.to_string().into()];
    let process = Process::start("fleet", lab, &args, &[], run.dir().join("fleet.log"))?;
    let file = run.dir().join(DISCOVERED);
    process.wait_until("listening", LIMIT, || fs::metadata(&file).map(drop).context("not every node listens"))?;
    Ok((process, serde_json::from_slice(&fs::read(&file)?)?))
}

/// The step that a node of a fleet stays at: values of its own, for which no alert fires.
fn at_rest(index: u16) -> NodeStep {
    let index = u32::from(index);
    let load = [1, 7, 13].map(|factor| f64::from(index * factor % 80) / 10.0);
    NodeStep {
        state: ExporterState::Answers,
        uptime: Some(f64::from(100_000 + 1_000 * index) + 0.25),
        load: Some(load),
    }
}

/// Makes a node's tree: no more files than it takes, for what a thousand nodes cost first is making and removing them.
fn grow(tree: &Path, index: usize) -> Result<()> {
    fs::create_dir_all(tree)?;
    for (file, text) in at_rest(u16::try_from(index)?).files() {
        fs::write(tree.join(file), text.unwrap_or_default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(nodes: usize, clusters: usize) -> Vec<String> {
        let listed = |(cluster, node)| DiscoveredNode::new(cluster, node, "127.0.0.1:1".into());
        Fleet { nodes, clusters }.names().map(listed).map(|listed| listed.node()).collect()
    }

    #[test]
    fn clusters_have_nodes_of_the_same_names() {
        assert_eq!(names(2, 1), ["node-1", "node-2"]);
        assert_eq!(names(4, 2), ["cluster-1/node-1", "cluster-2/node-1", "cluster-1/node-2", "cluster-2/node-2"]);
        assert_eq!(names(12, 1)[..2], ["node-01", "node-02"]);
    }

    #[test]
    fn every_tree_is_one_that_the_exporter_reads_and_has_values_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..100 {
            let tree = dir.path().join(index.to_string());
            grow(&tree, index).unwrap();
            let procfs = mini_node_exporter::procfs::ProcRoot::new(&tree, &[]);
            procfs.read::<mini_node_exporter::procfs::LoadAverage>().unwrap();
            procfs.read::<mini_node_exporter::procfs::Uptime>().unwrap();
            assert!(seen.insert(fs::read_to_string(tree.join("uptime")).unwrap()));
        }
    }
}
