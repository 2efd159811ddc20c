//! Descriptors of a tree of the kernel's own, kept open from one scrape to the next. procfs generates a file's text when it is read, so a
//! kept descriptor is as current as a new one, for a fifth of the cost.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use super::error::ReadErrorKind;
use super::{kernel_procfs, read};
use crate::sync::lock;

/// Open files, each with its path below the root.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<Vec<(&'static str, File)>>);

impl OpenFiles {
    /// Reads one file below the root.
    pub(super) fn read<T>(
        &self,
        root: &Path,
        path: &'static str,
        parse: impl FnOnce(&str) -> Result<T, ReadErrorKind>,
    ) -> Result<T, ReadErrorKind> {
        let mut files = lock(&self.0);
        let index = if let Some(index) = files.iter().position(|(known, _)| *known == path) {
            index
        } else {
            let file = read::open(&root.join(path))?;
            // Not procfs: a file of sysfs, or one that was covered since the start.
            if !kernel_procfs::is_procfs(&file).map_err(ReadErrorKind::Io)? {
                return read::whole(file, parse);
            }
            files.push((path, file));
            files.len() - 1
        };
        let mut buffer = [0; read::USUAL_SIZE];
        match read::once(&files[index].1, &mut buffer) {
            Ok(Some(bytes)) => read::text(bytes, parse),
            Ok(None) => read::read(&root.join(path), parse),
            Err(error) => {
                // The next read opens it anew.
                files.swap_remove(index);
                Err(ReadErrorKind::Io(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROC: &str = crate::procfs::ProcRoot::KERNEL;

    #[allow(clippy::unnecessary_wraps)]
    fn length(text: &str) -> Result<usize, ReadErrorKind> {
        Ok(text.len())
    }

    #[test]
    fn a_file_of_procfs_is_opened_once_and_read_anew_each_time() {
        let files = OpenFiles::default();
        for name in ["before", "after"] {
            std::fs::write("/proc/thread-self/comm", name).unwrap();
            let read = files.read(Path::new(PROC), "thread-self/comm", |text| Ok(text.trim_end() == name));
            assert_eq!(read, Ok(true), "{name}");
            assert_eq!(files.0.lock().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_longer_file_is_read_whole() {
        let files = OpenFiles::default();
        let whole = std::fs::read_to_string("/proc/self/status").unwrap().len();
        assert!(whole > read::USUAL_SIZE, "{whole} bytes are not many");
        // Counters in it may have grown by a digit.
        assert!(files.read(Path::new(PROC), "self/status", length).unwrap().abs_diff(whole) < 20);
    }

    #[test]
    fn nothing_else_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let files = OpenFiles::default();
        assert_eq!(files.read(folder.path(), "uptime", length), Err(ReadErrorKind::Io(rustix::io::Errno::NOENT)));
        for text in ["1", "22"] {
            std::fs::write(folder.path().join("new"), text).unwrap();
            std::fs::rename(folder.path().join("new"), folder.path().join("uptime")).unwrap();
            assert_eq!(files.read(folder.path(), "uptime", length), Ok(text.len()));
        }
        assert!(files.0.lock().unwrap().is_empty());
    }

    /// Page 0 of this process cannot be read: the file opens, and each read fails.
    #[test]
    fn a_descriptor_that_fails_is_dropped() {
        let files = OpenFiles::default();
        assert_eq!(files.read(Path::new(PROC), "self/mem", length), Err(ReadErrorKind::Io(rustix::io::Errno::IO)));
        assert!(files.0.lock().unwrap().is_empty());
    }
}
