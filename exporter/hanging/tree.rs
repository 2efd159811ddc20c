//! A procfs tree on a real FUSE, as lxcfs is, whose files can be made to hang: then the kernel gets no answer to a
//! read, until they are let go.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen, Request,
};
use tempfile::TempDir;

use crate::support::tree::{HOSTNAME, LOADAVG, UPTIME};

/// Each path with what is in it; a directory has no text. The number of a path is its place, and one.
const PATHS: [(&str, Option<&str>); 8] = [
    ("", None),
    (UPTIME, Some("1761.77 6531.02\n")),
    (LOADAVG, Some("0.57 0.80 0.77 2/816 12345\n")),
    ("sys", None),
    ("sys/kernel", None),
    (HOSTNAME, Some("worker-1\n")),
    (CPUS, Some("0-3\n")),
    (WEB_CONFIG, Some("rate_limit: {interval: 1s, burst: 1000}\n")),
];

/// What a test mounts over the file of sysfs.
pub const CPUS: &str = "online";

/// What a test gives as `--web.config.file`.
pub const WEB_CONFIG: &str = "web.yml";

pub struct HangingTree {
    place: TempDir,
    held: Arc<Mutex<Held>>,
    session: Option<BackgroundSession>,
}

#[derive(Default)]
struct Held {
    hanging: HashSet<&'static str>,
    replies: Vec<(ReplyData, &'static str)>,
    attributes: Vec<(ReplyAttr, u64)>,
}

/// The root itself, whose attributes are not answered either.
pub const ROOT: &str = "";

impl HangingTree {
    pub fn mount() -> Self {
        let (place, held) = (TempDir::new().unwrap(), Arc::<Mutex<Held>>::default());
        let mut config = Config::default();
        config.mount_options = vec![MountOption::RO, MountOption::FSName("hanging-procfs".into())];
        let session = fuser::spawn_mount(Files(Arc::clone(&held)), place.path(), &config).unwrap_or_else(|error| {
            panic!("cannot mount a FUSE: {error}; it takes /dev/fuse, and root or fusermount3")
        });
        Self { place, held, session: Some(session) }
    }

    pub fn root(&self) -> &Path {
        self.place.path()
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    pub fn hang(&self, file: &'static str) {
        lock(&self.held).hanging.insert(file);
    }

    /// How many reads wait.
    pub fn waiting(&self) -> usize {
        let held = lock(&self.held);
        held.replies.len() + held.attributes.len()
    }

    pub fn let_go(&self) {
        let mut held = lock(&self.held);
        held.hanging.clear();
        for (reply, text) in held.replies.drain(..) {
            reply.data(text.as_bytes());
        }
        for (reply, number) in held.attributes.drain(..) {
            reply.attr(&Duration::ZERO, &attributes(number));
        }
    }
}

impl Drop for HangingTree {
    /// Answers what waits: otherwise neither the exporter nor the mount would ever end.
    fn drop(&mut self) {
        self.let_go();
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

struct Files(Arc<Mutex<Held>>);

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let path = Path::new(path(parent.0)).join(name);
        match PATHS.iter().position(|(known, _)| Path::new(known) == path) {
            Some(index) => reply.entry(&Duration::ZERO, &attributes(index as u64 + 1), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let mut held = lock(&self.0);
        if held.hanging.contains(ROOT) {
            held.attributes.push((reply, number.0));
        } else {
            reply.attr(&Duration::ZERO, &attributes(number.0));
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Every read comes here, and none is answered by what the kernel remembers.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let file = path(number.0);
        let text = text(number.0).unwrap_or_default();
        let rest = text.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let rest = rest.get(..usize::try_from(size).unwrap()).unwrap_or(rest);
        let mut held = lock(&self.0);
        if held.hanging.contains(file) {
            held.replies.push((reply, rest));
        } else {
            reply.data(rest.as_bytes());
        }
    }
}

fn path(number: u64) -> &'static str {
    PATHS[usize::try_from(number - 1).unwrap()].0
}

fn text(number: u64) -> Option<&'static str> {
    PATHS[usize::try_from(number - 1).unwrap()].1
}

fn attributes(number: u64) -> FileAttr {
    let (kind, perm) = match text(number) {
        Some(_) => (FileType::RegularFile, 0o444),
        None => (FileType::Directory, 0o555),
    };
    FileAttr {
        ino: INodeNo(number),
        // As on procfs: the size says nothing.
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 512,
        flags: 0,
    }
}

fn lock(held: &Mutex<Held>) -> std::sync::MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
