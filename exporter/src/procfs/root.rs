//! The root of a tree, below which every path is joined.

use std::path::{Path, PathBuf};

use super::open_files::OpenFiles;
use super::{Error, ProcFile, live, read};

/// The root of a procfs tree: `/proc`, or any directory of the same shape.
#[derive(Debug)]
pub struct ProcRoot {
    path: PathBuf,
    /// `None` unless the tree is live.
    open_files: Option<OpenFiles>,
}

impl ProcRoot {
    /// Where the running kernel's own is.
    pub const KERNEL: &str = live::KERNEL;

    /// `files` are those that will be read: the tree is live if each of them is the kernel's own. A relative path is taken
    /// from the current directory, once, so that every message names the full path.
    #[must_use]
    pub fn new(root: impl AsRef<Path>, files: &[&'static str]) -> Self {
        let root = root.as_ref();
        let path = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let open_files = live::is_live(&path, files).then(OpenFiles::default);
        Self { path, open_files }
    }

    /// Whether the tree is the kernel's own, so that reading it never hangs. Found out once, at the start.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.open_files.is_some()
    }

    /// Reads and parses one file, now: no value is remembered. Unless the tree [is live](Self::is_live), this can
    /// hang.
    ///
    /// # Errors
    ///
    /// When the file is missing, unreadable, not a regular file, longer than [`MAX_FILE_SIZE`](super::MAX_FILE_SIZE), not UTF-8, or not what its
    /// parser expects. The error names the file.
    pub fn read<T: ProcFile>(&self) -> Result<T, Error> {
        let value = match &self.open_files {
            Some(files) => files.read(&self.path, T::PATH, T::parse),
            None => read::read(&self.path_of::<T>(), T::parse),
        };
        value.map_err(|reason| Error::new(self.path_of::<T>(), reason))
    }

    /// Where a file lies below this root.
    #[must_use]
    pub fn path_of<T: ProcFile>(&self) -> PathBuf {
        self.path.join(T::PATH)
    }

    /// The root itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for ProcRoot {
    /// The running kernel's own.
    fn default() -> Self {
        Self::new(Self::KERNEL, &[])
    }
}
