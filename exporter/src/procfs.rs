//! Reading a procfs tree: paths, bounded reads, parsers.
//!
//! [`ProcRoot`] joins every path; nothing else spells `/proc`. Each file is a type that implements [`ProcFile`]: its
//! path below the root, and a pure function of its text. The formats are those of the kernel's document
//! `Documentation/filesystems/proc.rst` and of the manual page proc(5).

mod error;
mod hostname;
mod loadavg;
mod number;
mod process;
mod read;
mod uptime;

use std::path::{Path, PathBuf};

pub use error::{Error, Reason};
pub use hostname::Hostname;
pub use loadavg::LoadAverage;
pub use process::{IgnoredSignals, ProcessStat, open_fds};
pub use read::LIMIT;
pub use uptime::Uptime;

/// One file of a procfs tree.
pub trait ProcFile: Sized {
    /// The path below the root, e.g. `uptime`.
    const PATH: &'static str;

    /// Reads the file's text.
    ///
    /// # Errors
    ///
    /// Says what is wrong, without repeating any of the text.
    fn parse(text: &str) -> Result<Self, Reason>;
}

/// The root of a procfs tree: `/proc`, or any directory of the same shape.
#[derive(Clone, Debug)]
pub struct ProcRoot(PathBuf);

impl ProcRoot {
    /// Where the running kernel's own is.
    pub const KERNEL: &str = "/proc";

    /// A relative path is taken from the current directory, once, so that every message names the full path.
    #[must_use]
    pub fn new(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self(std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf()))
    }

    /// Reads and parses one file.
    ///
    /// # Errors
    ///
    /// When the file is missing, unreadable, not a regular file, longer than [`LIMIT`], not UTF-8, or not what its
    /// parser expects. The error names the file.
    pub fn read<T: ProcFile>(&self) -> Result<T, Error> {
        let path = self.path_of::<T>();
        read::read(&path, T::parse).map_err(|reason| Error::new(path, reason))
    }

    /// Where a file lies below this root.
    #[must_use]
    pub fn path_of<T: ProcFile>(&self) -> PathBuf {
        self.0.join(T::PATH)
    }

    /// The root itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Default for ProcRoot {
    /// The running kernel's own.
    fn default() -> Self {
        Self(PathBuf::from(Self::KERNEL))
    }
}
