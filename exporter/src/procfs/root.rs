//! The root of a tree, below which every path is joined.

use std::path::{Path, PathBuf};

use super::error::ReadError;
use super::file::ProcFile;
use super::open_files::OpenFiles;
use super::{kernel_procfs, read};

/// The root of a procfs tree: `/proc`, or any directory of the same shape.
#[derive(Debug)]
pub struct ProcRoot {
    path: PathBuf,
    /// `None` unless the tree is the kernel's own.
    open_files: Option<OpenFiles>,
}

impl ProcRoot {
    /// Where the running kernel's own is.
    pub const KERNEL: &str = "/proc";

    /// `files` are those that will be read: the tree is the kernel's own if each of them is. A relative path is
    /// taken from the current directory, once, so that every message names the full path.
    #[must_use]
    pub fn new(root: impl AsRef<Path>, files: &[&'static str]) -> Self {
        let root = root.as_ref();
        let path = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let open_files = kernel_procfs::is_kernel_procfs(&path, files).then(OpenFiles::default);
        Self { path, open_files }
    }

    /// Whether the tree is the kernel's own, so that reading it never hangs. Determined once, in `new`.
    #[must_use]
    pub fn is_kernel_procfs(&self) -> bool {
        self.open_files.is_some()
    }

    /// Reads and parses one file, now: no value is remembered. This can hang unless the tree
    /// [is the kernel's own](Self::is_kernel_procfs).
    ///
    /// # Errors
    ///
    /// When the file is missing, unreadable, not a regular file, longer than [`MAX_FILE_SIZE`](super::MAX_FILE_SIZE), not UTF-8, or not what its
    /// parser expects. The error names the file.
    pub fn read<T: ProcFile>(&self) -> Result<T, ReadError> {
        let value = match &self.open_files {
            Some(files) => files.read(&self.path, T::PATH, T::parse),
            None => read::read(&self.path_of::<T>(), T::parse),
        };
        value.map_err(|reason| ReadError::new(self.path_of::<T>(), reason))
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
