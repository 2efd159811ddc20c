//! The node that is described: its procfs tree, its name, and which of its files were bad when last read.

mod reader;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::procfs::{Hostname, ProcFile, ProcRoot, ReadError};
use crate::sync::lock;
pub use reader::ReaderThread;

/// Reads the node's files. A file that breaks is logged once, and once more when it heals, not at every scrape.
#[derive(Debug)]
pub struct Node {
    root: ProcRoot,
    name: Option<String>,
    bad: Mutex<BTreeSet<PathBuf>>,
    reader: Arc<ReaderThread>,
}

impl Node {
    /// Without a name, the hostname is read from the tree, whenever it is needed. The reader is not used where the tree
    /// [is the kernel's own](ProcRoot::is_kernel_procfs).
    #[must_use]
    pub fn new(root: ProcRoot, name: Option<String>, reader: Arc<ReaderThread>) -> Self {
        Self { root, name, bad: Mutex::default(), reader }
    }

    /// The tree that describes it.
    #[must_use]
    pub fn root(&self) -> &ProcRoot {
        &self.root
    }

    /// Runs `read` on this thread where reading cannot hang, else on the reader. On timeout or failure runs it again on this
    /// thread with every file failing, possibly while the first run still blocks.
    pub async fn read_within<T: Send + 'static>(
        self: &Arc<Self>,
        timeout: impl FnOnce() -> Duration,
        read: impl Fn(&ReadSession<'_>) -> T + Clone + Send + 'static,
    ) -> T {
        if self.root.is_kernel_procfs() {
            return read(&ReadSession::new(self));
        }
        let (node, on_thread) = (Arc::clone(self), read.clone());
        let result = self.reader.run(self.root.path(), timeout(), move || on_thread(&ReadSession::new(&node))).await;
        result.unwrap_or_else(|error| read(&ReadSession::failed(self, error)))
    }

    fn read<T: ProcFile>(&self) -> Result<T, ReadError> {
        let reading = (!self.root.is_kernel_procfs()).then(|| self.reader.begin(self.root.path_of::<T>()));
        let result = self.root.read();
        drop(reading);
        match &result {
            Ok(_) => self.note_good::<T>(),
            Err(error) => self.note_bad(error),
        }
        result
    }

    fn note_bad(&self, error: &ReadError) {
        let mut bad = lock(&self.bad);
        if bad.insert(error.path().to_path_buf()) {
            let (file, reason) = (error.path().display(), error.kind());
            tracing::error!(%file, %reason, "cannot read procfs {}", self.kind(error.path()));
        }
    }

    /// A file that can be read shows that its tree can be, too.
    fn note_good<T: ProcFile>(&self) {
        let mut bad = lock(&self.bad);
        if bad.is_empty() {
            return;
        }
        for path in [self.root.path_of::<T>(), self.root.path().to_path_buf()] {
            if bad.remove(&path) {
                tracing::info!(file = %path.display(), "procfs {} is readable again", self.kind(&path));
            }
        }
    }

    /// Names what an error is about: the tree, where a read failed before any file was opened.
    fn kind(&self, path: &Path) -> &'static str {
        if path == self.root.path() { "tree" } else { "file" }
    }
}

/// Reads of a node for one request. The name is read once, so that every sample of a scrape carries the same one.
#[derive(Debug)]
pub struct ReadSession<'a> {
    node: &'a Node,
    hostname: OnceCell<Result<Cow<'a, str>, ReadError>>,
    /// Why no file can be read.
    failure: Option<ReadError>,
}

impl<'a> ReadSession<'a> {
    /// Reads nothing yet. Unless the tree [is the kernel's own](ProcRoot::is_kernel_procfs), reading can hang: [`Node::read_within`] bounds it.
    #[must_use]
    pub fn new(node: &'a Node) -> Self {
        Self { node, hostname: OnceCell::new(), failure: None }
    }

    fn failed(node: &'a Node, error: ReadError) -> Self {
        node.note_bad(&error);
        Self { failure: Some(error), ..Self::new(node) }
    }

    /// The node's name, as the `hostname` label carries it.
    ///
    /// # Errors
    ///
    /// When no name was given and the tree's is bad.
    pub fn hostname(&self) -> Result<&str, ReadError> {
        let read = || match &self.node.name {
            Some(name) => Ok(Cow::Borrowed(name.as_str())),
            None => self.read::<Hostname>().map(|name| Cow::Owned(name.0)),
        };
        self.hostname.get_or_init(read).as_deref().map_err(Clone::clone)
    }

    /// Reads one file of the node's tree, now: nothing is cached.
    ///
    /// # Errors
    ///
    /// When the file is bad, or cannot be read in time.
    pub fn read<T: ProcFile>(&self) -> Result<T, ReadError> {
        match &self.failure {
            Some(error) => Err(error.clone()),
            None => self.node.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::{NODE_FILES, ReadErrorKind, Uptime};

    #[test]
    fn a_bad_file_is_remembered_until_it_heals() {
        let folder = tempfile::tempdir().unwrap();
        let node = Node::new(ProcRoot::new(folder.path(), &NODE_FILES), None, Arc::default());
        let file = folder.path().join(Uptime::PATH);
        for _ in 0..2 {
            assert!(node.read::<Uptime>().is_err());
            assert_eq!(node.bad.lock().unwrap().iter().collect::<Vec<_>>(), [&file]);
        }
        // Such as a read that timed out before it had begun.
        node.note_bad(&ReadError::new(folder.path().to_path_buf(), ReadErrorKind::TimedOut));
        std::fs::write(file, "1.5 2\n").unwrap();
        assert!(node.read::<Uptime>().is_ok());
        assert!(node.bad.lock().unwrap().is_empty());
    }
}
