//! The nodes of a scenario: for each a real exporter process on a tree of its own. The tree changes while it is read, and
//! the exporter hangs, goes and returns.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fs_err as fs;
use rustix::process::Signal;

use super::fleet::{self, Listed};
use crate::process::child::Process;
use crate::process::log::Line;
use crate::run::Run;
use crate::workspace;

/// The file of discovery, in the run's directory.
pub(super) const DISCOVERED: &str = "scenario.json";

/// One step in a node's life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    pub state: State,
    /// What `uptime` says; without it the file is missing.
    pub uptime: Option<f64>,
    /// What `loadavg` says; without it the file is missing.
    pub load: Option<[f64; 3]>,
}

/// What becomes of whoever asks a node's exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Answers,
    /// It takes the connection, and says nothing.
    Hangs,
    /// Nobody listens.
    Gone,
    /// Nobody listens, and discovery no longer knows it.
    Undiscovered,
}

/// The nodes by name.
pub struct Cast {
    binary: PathBuf,
    dir: PathBuf,
    nodes: Mutex<BTreeMap<String, Node>>,
}

struct Node {
    now: Moment,
    address: String,
    process: Option<Process>,
}

impl Cast {
    /// Starts an exporter for each node, whose tree is as its first moment says.
    pub(super) fn start(binary: &Path, run: &Run, first: &[(String, Moment)]) -> Result<Self> {
        let cast = Self { binary: binary.into(), dir: run.dir().into(), nodes: Mutex::default() };
        let mut nodes = BTreeMap::new();
        for (name, moment) in first {
            let tree = cast.tree(name);
            fs::create_dir_all(tree.join("sys/kernel"))?;
            fs::write(tree.join("sys/kernel/hostname"), format!("{name}\n"))?;
            write(&tree, moment)?;
            let (process, address) = cast.exporter(name, "127.0.0.1:0")?;
            nodes.insert(name.clone(), Node { now: *moment, address, process: Some(process) });
        }
        cast.list(&nodes)?;
        *cast.lock() = nodes;
        Ok(cast)
    }

    /// Lets a node be as this moment says.
    pub fn set(&self, name: &str, moment: &Moment) -> Result<()> {
        let mut nodes = self.lock();
        let node = nodes.get_mut(name).with_context(|| format!("no node `{name}`"))?;
        let before = std::mem::replace(&mut node.now, *moment);
        if (before.uptime, before.load) != (moment.uptime, moment.load) {
            write(&self.tree(name), moment)?;
        }
        if before.state == moment.state {
            return Ok(());
        }
        match moment.state {
            // At once, as when a node loses its power; and one that is stopped would not see SIGTERM.
            State::Gone | State::Undiscovered => drop(node.process.take()),
            State::Answers | State::Hangs => {
                if node.process.is_none() {
                    let (process, address) = self.exporter(name, &node.address)?;
                    (node.process, node.address) = (Some(process), address);
                }
                let hangs = moment.state == State::Hangs;
                node.process.iter().for_each(|process| process.signal(if hangs { Signal::STOP } else { Signal::CONT }));
            }
        }
        self.list(&nodes)
    }

    /// What Prometheus finds: the name and the address of each node.
    pub(super) fn listed(&self) -> Vec<Listed> {
        listed(&self.lock())
    }

    /// Fails once an exporter that should run does not.
    pub(super) fn alive(&self) -> Result<()> {
        self.lock().values().filter_map(|node| node.process.as_ref()).try_for_each(Process::alive)
    }

    /// Ends every exporter.
    pub(super) fn stop(&self) {
        // Killed, not asked: one that hangs cannot be asked, and there may be a hundred.
        self.lock().clear();
    }

    fn tree(&self, name: &str) -> PathBuf {
        fleet::trees_in(&self.dir).join(name)
    }

    /// Starts an exporter where it was before, or elsewhere if that address is taken by now.
    fn exporter(&self, name: &str, address: &str) -> Result<(Process, String)> {
        let mut tree = std::ffi::OsString::from("--path.procfs=");
        tree.push(self.tree(name));
        let start = |address: &str| {
            let args = [format!("--web.listen-address={address}").into(), tree.clone()];
            let process = Process::start("exporter", &self.binary, &args, &[], self.dir.join(format!("{name}.log")))?;
            let bound = process.wait_for_line("its address", Duration::from_secs(30), |line| {
                (Line(line).message() == "listening").then(|| Line(line).field("address")).flatten()
            });
            match bound {
                Ok(bound) => Ok(Some((process, bound))),
                Err(_) if process.found_address_taken() => Ok(None),
                Err(error) => Err(error),
            }
        };
        match start(address)? {
            Some(started) => Ok(started),
            None => start("127.0.0.1:0")?.context("no address is free"),
        }
    }

    fn list(&self, nodes: &BTreeMap<String, Node>) -> Result<()> {
        Ok(workspace::replace(&self.dir.join(DISCOVERED), serde_json::to_vec(&listed(nodes))?)?)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listed(nodes: &BTreeMap<String, Node>) -> Vec<Listed> {
    let discovered = nodes.iter().filter(|(_, node)| node.now.state != State::Undiscovered);
    discovered.map(|(name, node)| Listed::new(None, name.clone(), node.address.clone())).collect()
}

impl Moment {
    /// The files of a node's tree that change, and what each says; nothing where it is missing.
    pub(super) fn files(&self) -> [(&'static str, Option<String>); 2] {
        let uptime = self.uptime.map(|uptime| format!("{uptime} 1.00\n"));
        let load = self.load.map(|[one, five, fifteen]| format!("{one} {five} {fifteen} 1/100 1000\n"));
        [("uptime", uptime), ("loadavg", load)]
    }
}

fn write(tree: &Path, moment: &Moment) -> Result<()> {
    for (file, text) in moment.files() {
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
