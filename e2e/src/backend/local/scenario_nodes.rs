//! The nodes of a scenario: for each a real exporter process on a tree of its own. The trees change while they are read,
//! and the exporters hang, stop and start again.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fs_err as fs;
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use super::fleet::{self, DiscoveredNode};
use crate::process::child::Process;
use crate::process::log::Line;
use crate::run::Run;
use crate::workspace;

/// The file of discovery, in the run's directory.
pub(super) const DISCOVERED: &str = "scenario.json";

/// One step of a node: the state of its exporter and of its files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeStep {
    pub state: ExporterState,
    /// What `uptime` says; without it the file is missing.
    pub uptime: Option<f64>,
    /// What `loadavg` says; without it the file is missing.
    pub load: Option<[f64; 3]>,
}

/// How a node's exporter behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExporterState {
    Answers,
    /// It accepts connections and does not answer.
    Hangs,
    /// It does not run.
    Gone,
    /// It does not run, and its target has left discovery.
    Undiscovered,
}

/// The nodes by name; one in a cluster is `cluster/node`.
pub struct ScenarioNodes {
    binary: PathBuf,
    dir: PathBuf,
    nodes: Mutex<BTreeMap<String, Node>>,
}

struct Node {
    now: NodeStep,
    process: Option<Process>,
    port: Port,
}

/// A port of loopback that no other program gets, even while the node's exporter is gone: it is bound here, too, but nothing
/// listens, so that a connection is refused.
struct Port {
    address: String,
    _bound: Socket,
}

impl Port {
    fn reserve() -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // With this, and only as long as nothing listens, the exporter can bind the same port.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket().context("no address")?.to_string();
        Ok(Self { address, _bound: socket })
    }
}

impl ScenarioNodes {
    /// Starts an exporter for each node, with its tree as at its first step.
    pub(super) fn start(binary: &Path, run: &Run, first: &[(String, NodeStep)]) -> Result<Self> {
        let started = Self { binary: binary.into(), dir: run.dir().into(), nodes: Mutex::default() };
        let mut nodes = BTreeMap::new();
        for (name, step) in first {
            let tree = started.tree(name);
            fs::create_dir_all(tree.join("sys/kernel"))?;
            let (_, hostname) = split(name);
            fs::write(tree.join("sys/kernel/hostname"), format!("{hostname}\n"))?;
            write(&tree, step)?;
            let port = Port::reserve()?;
            let process = Some(started.exporter(name, &port.address)?);
            nodes.insert(name.clone(), Node { now: *step, process, port });
        }
        started.list(&nodes)?;
        *started.lock() = nodes;
        Ok(started)
    }

    /// Brings a node to this step.
    pub fn set(&self, name: &str, step: &NodeStep) -> Result<()> {
        let mut nodes = self.lock();
        let node = nodes.get_mut(name).with_context(|| format!("no node `{name}`"))?;
        let before = std::mem::replace(&mut node.now, *step);
        if (before.uptime, before.load) != (step.uptime, step.load) {
            write(&self.tree(name), step)?;
        }
        if before.state == step.state {
            return Ok(());
        }
        match step.state {
            // By SIGKILL, as in a power loss; an exporter that hangs would not see SIGTERM.
            ExporterState::Gone | ExporterState::Undiscovered => drop(node.process.take()),
            ExporterState::Answers | ExporterState::Hangs => {
                if node.process.is_none() {
                    node.process = Some(self.exporter(name, &node.port.address)?);
                }
                let hangs = step.state == ExporterState::Hangs;
                node.process.iter().for_each(|process| process.signal(if hangs { Signal::STOP } else { Signal::CONT }));
            }
        }
        self.list(&nodes)
    }

    /// What Prometheus finds: the name and the address of each node.
    pub(super) fn listed(&self) -> Vec<DiscoveredNode> {
        listed(&self.lock())
    }

    /// Fails once an exporter that should run does not.
    pub(super) fn alive(&self) -> Result<()> {
        self.lock().values().filter_map(|node| node.process.as_ref()).try_for_each(Process::alive)
    }

    /// Ends every exporter.
    pub(super) fn stop(&self) {
        // By SIGKILL: one that hangs does not see SIGTERM.
        self.lock().clear();
    }

    fn tree(&self, name: &str) -> PathBuf {
        fleet::trees(&self.dir).join(name)
    }

    /// Starts a node's exporter on its address.
    fn exporter(&self, name: &str, address: &str) -> Result<Process> {
        let mut tree = std::ffi::OsString::from("--path.procfs=");
        tree.push(self.tree(name));
        let args = [format!("--web.listen-address={address}").into(), tree];
        let log = self.dir.join(format!("{}.log", name.replace('/', "-")));
        let process = Process::start("exporter", &self.binary, &args, &[], log)?;
        process.wait_for_line("its address", Duration::from_secs(30), |line| {
            (Line(line).message() == "listening").then_some(())
        })?;
        Ok(process)
    }

    fn list(&self, nodes: &BTreeMap<String, Node>) -> Result<()> {
        Ok(workspace::replace(&self.dir.join(DISCOVERED), serde_json::to_vec(&listed(nodes))?)?)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listed(nodes: &BTreeMap<String, Node>) -> Vec<DiscoveredNode> {
    let discovered = nodes.iter().filter(|(_, node)| node.now.state != ExporterState::Undiscovered);
    let listed = |(name, node): (&String, &Node)| {
        let (cluster, own) = split(name);
        DiscoveredNode::new(cluster.map(str::to_owned), own.to_owned(), node.port.address.clone())
    };
    discovered.map(listed).collect()
}

/// The cluster, where there is one, and the name of a node in it: `cluster/node`.
fn split(name: &str) -> (Option<&str>, &str) {
    name.split_once('/').map_or((None, name), |(cluster, node)| (Some(cluster), node))
}

impl NodeStep {
    /// The files of a node's tree that change, with their texts; `None` for a missing file.
    pub(super) fn files(&self) -> [(&'static str, Option<String>); 2] {
        let uptime = self.uptime.map(|uptime| format!("{uptime} 1.00\n"));
        let load = self.load.map(|[one, five, fifteen]| format!("{one} {five} {fifteen} 1/100 1000\n"));
        [("uptime", uptime), ("loadavg", load)]
    }
}

fn write(tree: &Path, step: &NodeStep) -> Result<()> {
    for (file, text) in step.files() {
        let path = tree.join(file);
        match text {
            Some(text) => workspace::replace(&path, text)?,
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_port_refuses_connections_until_its_exporter_listens() {
        let port = Port::reserve().unwrap();
        let connect = || TcpStream::connect(&port.address).map_err(|error| error.kind());
        assert_eq!(connect().unwrap_err(), io::ErrorKind::ConnectionRefused);
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address: SocketAddr = port.address.parse().unwrap();
        assert_eq!(other.bind(&address.into()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // As the exporter does, with SO_REUSEADDR.
        let exporter = TcpListener::bind(&port.address).unwrap();
        connect().unwrap();
        drop(exporter);
        assert_eq!(connect().unwrap_err(), io::ErrorKind::ConnectionRefused);
    }
}
