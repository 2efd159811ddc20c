//! Whether a tree is the kernel's own.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, FsWord, Mode, OFlags, PROC_SUPER_MAGIC, StatxFlags};
use rustix::io::{Errno, Result};

use super::root::ProcRoot;

const SYSFS_MAGIC: FsWord = 0x6265_6572;

/// How long a file system may take to answer. One that takes longer is not the kernel's.
const EXAMINE_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns whether the root is procfs and each of the files lies on procfs or sysfs, because lxcfs covers single ones.
///
/// Examining a path can hang where a FUSE lies on the way, so a thread does it. `/proc`, the usual root, needs none.
pub(super) fn is_kernel_procfs(root: &Path, files: &[&'static str]) -> bool {
    if root == Path::new(ProcRoot::KERNEL) {
        return examine(root, files).unwrap_or(false);
    }
    let (sender, result) = channel();
    let (path, files) = (PathBuf::from(root), files.to_vec());
    let examine = move || sender.send(examine(&path, &files));
    let thread = thread::Builder::new().name("procfs-root".into()).spawn(examine);
    thread.is_ok() && matches!(result.recv_timeout(EXAMINE_TIMEOUT), Ok(Ok(true)))
}

fn examine(root: &Path, files: &[&str]) -> Result<bool> {
    // A symlink may change later.
    if std::fs::canonicalize(root).ok().as_deref() != Some(root) || !lies_on(PROC_SUPER_MAGIC, root, ".")? {
        return Ok(false);
    }
    for file in files {
        let lies_there = match file.strip_prefix("../sys/") {
            Some(path) => lies_on(SYSFS_MAGIC, &root.join("../sys"), path),
            None => lies_on(PROC_SUPER_MAGIC, root, file),
        };
        match lies_there {
            // A missing file cannot hang; reading it reports it.
            Ok(true) | Err(Errno::NOENT) => {}
            other => return other,
        }
    }
    Ok(true)
}

/// Returns whether the folder and each step from it to the file lie on one file system of this kind. Checks each step, so
/// that the walk never enters another file system.
fn lies_on(magic: FsWord, folder: &Path, file: &str) -> Result<bool> {
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::fstatfs(&folder)?.f_type != magic {
        return Ok(false);
    }
    let (own, mut path) = (device(&folder, Path::new("."))?, PathBuf::new());
    for step in Path::new(file) {
        path.push(step);
        if device(&folder, &path)? != own {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether an open file lies on procfs.
pub(super) fn is_procfs(file: impl AsFd) -> Result<bool> {
    Ok(rustix::fs::fstatfs(file)?.f_type == PROC_SUPER_MAGIC)
}

/// Returns the file system's number. Uses cached attributes only, so it never waits for a covering FUSE mount.
fn device(folder: impl AsFd, file: &Path) -> Result<(u32, u32)> {
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let found = rustix::fs::statx(folder, file, flags, StatxFlags::empty())?;
    Ok((found.stx_dev_major, found.stx_dev_minor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::{NODE_FILES, OnlineCpus, ProcFile};

    #[test]
    fn the_kernels_tree_is_recognized() {
        let proc = Path::new(ProcRoot::KERNEL);
        assert!(is_kernel_procfs(proc, &NODE_FILES));
        assert_eq!(examine(proc, &[OnlineCpus::PATH, "missing", "../sys/missing"]), Ok(true));
    }

    #[test]
    fn one_file_on_another_file_system_is_enough() {
        let proc = Path::new(ProcRoot::KERNEL);
        assert_eq!(examine(proc, &["uptime", "../etc/passwd"]), Ok(false));
        // Seen from `/sys`, what is below `/proc` lies on another file system than its parent.
        assert_eq!(lies_on(SYSFS_MAGIC, Path::new("/sys"), "../proc/uptime"), Ok(false));
        assert_eq!(lies_on(PROC_SUPER_MAGIC, proc, "uptime/below"), Err(Errno::NOTDIR));
    }

    #[test]
    fn other_trees_are_not_recognized() {
        let folder = tempfile::tempdir().unwrap();
        // A link can be changed, and a descriptor would lead to the tree before.
        let link = folder.path().join("proc");
        std::os::unix::fs::symlink(ProcRoot::KERNEL, &link).unwrap();
        for root in [folder.path(), &folder.path().join("missing"), &link] {
            assert!(!is_kernel_procfs(root, &NODE_FILES), "{}", root.display());
        }
        for root in ["/proc/uptime", "/proc/../proc"] {
            assert!(!is_kernel_procfs(Path::new(root), &NODE_FILES), "{root}");
        }
    }
}
