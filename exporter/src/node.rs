//! The node that is described: its procfs tree, its name, and which of its files were bad when last read.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

mod reader;
mod watch;

use crate::procfs::{Error, Hostname, NODE_FILES, ProcFile, ProcRoot, Reason};
pub use reader::Reader;
use watch::Watch;

/// Reads the node's files. A file that breaks is logged once, and once more when it heals, not at every scrape.
#[derive(Debug)]
pub struct Node {
    root: ProcRoot,
    name: Option<String>,
    bad: Mutex<BTreeSet<PathBuf>>,
    watch: Watch,
}

impl Node {
    /// Without a name, the hostname is read from the tree, whenever it is asked for.
    #[must_use]
    pub fn new(root: ProcRoot, name: Option<String>) -> Self {
        Self { root, name, bad: Mutex::default(), watch: Watch::default() }
    }

    /// The tree that describes it.
    #[must_use]
    pub fn root(&self) -> &ProcRoot {
        &self.root
    }

    /// Whether the tree has none of the files that are read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        NODE_FILES.iter().all(|file| !self.root.path().join(file).exists())
    }

    /// Whether reading its files never waits for anybody. Otherwise a read can hang, and belongs on a [`Reader`].
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.root.is_live()
    }

    /// Takes every file that is being read right now as one that hangs: until that read returns, it is not read again.
    pub fn give_up(&self) {
        self.watch.give_up();
    }

    /// The node's name, as the `hostname` label carries it.
    ///
    /// # Errors
    ///
    /// When no name was given and the tree's is bad.
    pub fn hostname(&self) -> Result<Cow<'_, str>, Error> {
        match &self.name {
            Some(name) => Ok(Cow::Borrowed(name)),
            None => self.read::<Hostname>().map(|name| Cow::Owned(name.0)),
        }
    }

    /// Reads one file of the tree, now: nothing is cached.
    ///
    /// # Errors
    ///
    /// When the file is bad, or hangs.
    pub fn read<T: ProcFile>(&self) -> Result<T, Error> {
        let result = if self.is_live() { self.root.read() } else { self.read_watched() };
        self.note::<T>(result.as_ref().err());
        result
    }

    fn read_watched<T: ProcFile>(&self) -> Result<T, Error> {
        match self.watch.begin(T::PATH) {
            Some(_reading) => self.root.read(),
            None => Err(self.root.error::<T>(Reason::Hangs)),
        }
    }

    fn note<T: ProcFile>(&self, error: Option<&Error>) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => {
                if bad.insert(error.path().to_path_buf()) {
                    let (file, reason) = (error.path().display(), error.reason());
                    tracing::error!(%file, %reason, "procfs file is bad");
                }
            }
            None if bad.is_empty() => {}
            None => {
                let file = self.root.path_of::<T>();
                if bad.remove(&file) {
                    tracing::info!(file = %file.display(), "procfs file is good again");
                }
            }
        }
    }
}

/// One scrape of a node. The name is read once, so that every sample of a scrape carries the same one.
#[derive(Debug)]
pub struct Scrape<'a> {
    node: &'a Node,
    hostname: OnceCell<Result<Cow<'a, str>, Error>>,
}

impl<'a> Scrape<'a> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(node: &'a Node) -> Self {
        Self { node, hostname: OnceCell::new() }
    }

    /// The node's name in this scrape.
    ///
    /// # Errors
    ///
    /// When no name was given and the tree's is bad.
    pub fn hostname(&self) -> Result<&str, Error> {
        self.hostname.get_or_init(|| self.node.hostname()).as_deref().map_err(Clone::clone)
    }

    /// Reads one file of the node's tree.
    ///
    /// # Errors
    ///
    /// When the file is bad.
    pub fn read<T: ProcFile>(&self) -> Result<T, Error> {
        self.node.read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::Uptime;

    fn tree() -> (tempfile::TempDir, Node) {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::new(ProcRoot::new(folder.path()), None);
        (folder, node)
    }

    #[test]
    fn a_file_that_was_given_up_is_not_read_until_it_returns() {
        let (folder, node) = tree();
        std::fs::write(folder.path().join(Uptime::PATH), "1.5 2\n").unwrap();
        let reading = node.watch.begin(Uptime::PATH);
        assert!(node.read::<Uptime>().is_ok(), "it has not been given up");
        node.give_up();
        assert_eq!(node.read::<Uptime>().map_err(|error| error.reason()), Err(Reason::Hangs));
        drop(reading);
        assert!(node.read::<Uptime>().is_ok());
    }

    #[test]
    fn a_bad_file_is_remembered_until_it_heals() {
        let (folder, node) = tree();
        let file = folder.path().join(Uptime::PATH);
        for _ in 0..2 {
            assert!(node.read::<Uptime>().is_err());
            assert_eq!(node.bad.lock().unwrap().iter().collect::<Vec<_>>(), [&file]);
        }
        std::fs::write(file, "1.5 2\n").unwrap();
        assert!(node.read::<Uptime>().is_ok());
        assert!(node.bad.lock().unwrap().is_empty());
    }

    #[test]
    fn a_tree_is_empty_without_any_of_the_files() {
        let (folder, node) = tree();
        assert_eq!(node.root().path(), folder.path());
        assert!(node.is_empty() && !node.is_live());
        std::fs::write(folder.path().join(Uptime::PATH), "x").unwrap();
        assert!(!node.is_empty());
        assert!(Node::new(ProcRoot::default(), None).is_live());
    }
}
