//! A procfs tree of a test's own, whose files can be broken and healed.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

pub const UPTIME: &str = "uptime";
pub const LOADAVG: &str = "loadavg";
pub const HOSTNAME: &str = "sys/kernel/hostname";

pub struct Tree(TempDir);

impl Tree {
    /// Three good files.
    pub fn new() -> Self {
        let tree = Self(TempDir::new().unwrap());
        std::fs::create_dir_all(tree.path("sys/kernel")).unwrap();
        for (file, text) in
            [(UPTIME, "1761.77 6531.02\n"), (LOADAVG, "0.57 0.80 0.77 2/816 12345\n"), (HOSTNAME, "worker-1\n")]
        {
            tree.write(file, text);
        }
        tree
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(file), content).unwrap();
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.path(file)).unwrap();
    }

    pub fn link(&self, file: &str, to: impl AsRef<Path>) {
        self.remove(file);
        std::os::unix::fs::symlink(to, self.path(file)).unwrap();
    }

    pub fn directory(&self, file: &str) {
        self.remove(file);
        std::fs::create_dir(self.path(file)).unwrap();
    }

    /// It has no writer: opening it without `O_NONBLOCK` hangs.
    pub fn fifo(&self, file: &str) {
        self.remove(file);
        make_fifo(&self.path(file));
    }
}

pub fn make_fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}
