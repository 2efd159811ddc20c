//! Reading a procfs tree: paths, bounded reads, parsers.
//!
//! [`ProcRoot`] joins every path; nothing else spells `/proc`. Each file is a type that implements [`ProcFile`]: its
//! path below the root, and a pure function of its text. The formats are those of the kernel's document
//! `Documentation/filesystems/proc.rst` and of the manual page proc(5).

mod cpus;
mod error;
mod hostname;
mod kept;
mod live;
mod loadavg;
mod number;
mod process;
mod read;
mod uptime;

use std::path::{Path, PathBuf};

pub use cpus::OnlineCpus;
pub use error::{Error, Reason};
pub use hostname::Hostname;
pub use loadavg::LoadAverage;
pub use process::{IgnoredSignals, ProcessStat, open_fds};
pub use read::LIMIT;
pub(crate) use read::errno;
pub use uptime::Uptime;

use kept::Kept;

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

/// The files that the endpoints read, whatever collectors are enabled.
pub const NODE_FILES: [&str; 3] = [Hostname::PATH, LoadAverage::PATH, Uptime::PATH];

/// The root of a procfs tree: `/proc`, or any directory of the same shape.
#[derive(Debug)]
pub struct ProcRoot {
    path: PathBuf,
    /// Only where the tree is live.
    kept: Option<Kept>,
}

impl ProcRoot {
    /// Where the running kernel's own is.
    pub const KERNEL: &str = "/proc";

    /// `files` are those that will be read: the tree is live if each of them is the kernel's own. A relative path is taken
    /// from the current directory, once, so that every message names the full path.
    #[must_use]
    pub fn new(root: impl AsRef<Path>, files: &[&'static str]) -> Self {
        let root = root.as_ref();
        let path = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        let kept = live::is_live(&path, files).then(Kept::default);
        Self { path, kept }
    }

    /// Whether the tree is the kernel's own, so that reading it never hangs. Found out once, at the start.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.kept.is_some()
    }

    /// Reads and parses one file, now: no value is remembered. Unless the tree [is live](Self::is_live), this can
    /// hang.
    ///
    /// # Errors
    ///
    /// When the file is missing, unreadable, not a regular file, longer than [`LIMIT`], not UTF-8, or not what its
    /// parser expects. The error names the file.
    pub fn read<T: ProcFile>(&self) -> Result<T, Error> {
        let text = match &self.kept {
            Some(kept) => kept.read(&self.path, T::PATH, T::parse),
            None => read::read(&self.path_of::<T>(), T::parse),
        };
        text.map_err(|reason| Error::new(self.path_of::<T>(), reason))
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
