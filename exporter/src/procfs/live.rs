//! Whether a tree is the kernel's own.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, PROC_SUPER_MAGIC, StatxFlags};
use rustix::io::{Errno, Result};

use super::{NODE_FILES, ProcRoot};

/// How long a file system may take to say what it is. One that takes longer is not the kernel's.
const PATIENCE: Duration = Duration::from_secs(1);

/// A tree is live if it is procfs and so is each of the node's files, for lxcfs covers single ones.
///
/// Looking at a path can hang where a FUSE lies on the way, so it is done on a thread of its own, which `/proc`, the
/// usual case, does without.
pub(super) fn is_live(root: &Path) -> bool {
    if root == Path::new(ProcRoot::KERNEL) {
        return look(root).unwrap_or(false);
    }
    let (say, said) = channel();
    let path = PathBuf::from(root);
    let looking = thread::Builder::new().name("procfs-root".into()).spawn(move || say.send(look(&path)));
    looking.is_ok() && matches!(said.recv_timeout(PATIENCE), Ok(Ok(true)))
}

fn look(root: &Path) -> Result<bool> {
    // Where a link is part of the path, it can lead elsewhere tomorrow.
    if std::fs::canonicalize(root).ok().as_deref() != Some(root) {
        return Ok(false);
    }
    let folder = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if !is_procfs(&folder)? {
        return Ok(false);
    }
    let own = device(&folder, ".")?;
    for file in NODE_FILES {
        if !lies_on(own, &folder, file)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether nothing else covers the file. Of one that is missing nothing could hang; the reason is said when it is read.
fn lies_on(own: (u32, u32), folder: impl AsFd, file: &str) -> Result<bool> {
    match device(folder, file) {
        Ok(found) => Ok(found == own),
        Err(Errno::NOENT) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether what a descriptor leads to lies on procfs.
pub(super) fn is_procfs(file: impl AsFd) -> Result<bool> {
    Ok(rustix::fs::fstatfs(file)?.f_type == PROC_SUPER_MAGIC)
}

/// The file system's number. Asking for nothing besides, and only for what the kernel knows already, never waits for a
/// FUSE that covers the file.
fn device(folder: impl AsFd, file: &str) -> Result<(u32, u32)> {
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let found = rustix::fs::statx(folder, file, flags, StatxFlags::empty())?;
    Ok((found.stx_dev_major, found.stx_dev_minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tree_is_live() {
        assert!(is_live(Path::new(ProcRoot::KERNEL)));
        assert_eq!(look(Path::new(ProcRoot::KERNEL)), Ok(true));
    }

    #[test]
    fn other_trees_are_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_live(folder.path()));
        assert!(!is_live(&folder.path().join("missing")));
        assert!(!is_live(Path::new("/proc/uptime")), "a file is no root");
        assert!(!is_live(Path::new("/proc/../proc")));
    }

    /// Seen from `/`, which is another file system, what is below `/proc` lies on procfs.
    #[test]
    fn a_file_lies_on_one_file_system() {
        let root = std::fs::File::open("/").unwrap();
        let own = device(&root, "proc").unwrap();
        for (file, lies) in [("proc/uptime", true), ("proc/missing", true), (".", false)] {
            assert_eq!(lies_on(own, &root, file), Ok(lies), "{file}");
        }
        assert_eq!(lies_on(own, &root, "proc/uptime/below"), Err(Errno::NOTDIR));
    }

    /// The link can be changed, and then a descriptor would lead to the tree before.
    #[test]
    fn a_link_to_a_live_tree_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("proc");
        std::os::unix::fs::symlink(ProcRoot::KERNEL, &link).unwrap();
        assert!(!is_live(&link));
    }
}
