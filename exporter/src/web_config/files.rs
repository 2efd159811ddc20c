//! The files that make up a web configuration, and whether they have changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::procfs::{ReadErrorKind, read_file};

/// The longest file that is read, in bytes: room for a bundle of every public CA.
const LONGEST: u64 = 1024 * 1024;

/// The files that were read for a configuration, in order, with their metadata.
pub(super) struct WatchedFiles {
    first: PathBuf,
    read: Vec<(PathBuf, Fingerprint)>,
}

/// Device, inode, size, modification and change of a file, or `None` if it is missing. A copy can keep the time of
/// modification, but not that of the change.
type Fingerprint = Option<[i64; 7]>;

impl WatchedFiles {
    /// Nothing is read yet. Relative paths are taken from the directory of the first.
    pub(super) fn new(first: PathBuf) -> Self {
        Self { first, read: Vec::new() }
    }

    /// The file that names the others.
    pub(super) fn first(&self) -> &Path {
        &self.first
    }

    /// Resolves a path relative to the first file's directory.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.first.parent().unwrap_or(Path::new("")).join(path)
    }

    pub(super) fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadErrorKind> {
        self.read.push((path.to_path_buf(), fingerprint(path)));
        read_file(path, LONGEST)
    }

    pub(super) fn read_first(&mut self) -> Result<Vec<u8>, ReadErrorKind> {
        self.read(&self.first.clone())
    }

    /// The files as they were read.
    pub(super) fn fingerprints_when_read(&self) -> Vec<Fingerprint> {
        self.read.iter().map(|(_, fingerprint)| *fingerprint).collect()
    }

    /// The same files as they are now.
    pub(super) fn fingerprints(&self) -> Vec<Fingerprint> {
        self.read.iter().map(|(path, _)| fingerprint(path)).collect()
    }
}

fn fingerprint(path: &Path) -> Fingerprint {
    let of = |file: Metadata| {
        let [device, inode, size] = [file.dev(), file.ino(), file.size()].map(u64::cast_signed);
        [device, inode, size, file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()]
    };
    std::fs::metadata(path).ok().map(of)
}
