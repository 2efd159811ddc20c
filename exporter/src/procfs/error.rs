//! Why a file cannot be read, or is not what it should be.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::log::one_line;

/// A file and why it is bad, in one line. No content of the file is ever part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {kind}", one_line(&path.to_string_lossy()))]
pub struct ReadError {
    path: PathBuf,
    kind: ReadErrorKind,
}

impl ReadError {
    pub(crate) fn new(path: PathBuf, kind: ReadErrorKind) -> Self {
        Self { path, kind }
    }

    /// The file's full path, or the root's where the tree as a whole cannot be read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it is bad.
    #[must_use]
    pub fn kind(&self) -> ReadErrorKind {
        self.kind
    }
}

/// Why a file, or a value in it, is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadErrorKind {
    /// The kernel refused to open or read it.
    #[error("{0}")]
    Io(Errno),
    /// A directory, FIFO, socket or device: reading one of those can hang or have effects.
    #[error("not a regular file")]
    NotRegular,
    /// It is longer than this many bytes; part of a file is never taken for the whole.
    #[error("longer than {0} bytes")]
    TooLong(u64),
    /// Some bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The line ends before this value.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// This value is not digits, optionally followed by a point and digits.
    #[error("{0} is not a number")]
    NotANumber(&'static str),
    /// The ranges of CPUs are not as the kernel writes them.
    #[error("invalid CPU list")]
    InvalidCpuList,
    /// This value is beyond what a 64-bit float can hold.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// A sandbox wrote zeros for what it does not know.
    #[error("invalid load: thread count is 0")]
    ZeroThreads,
    /// Reading it took longer than the request's timeout, or than any read may.
    #[error("read timed out")]
    TimedOut,
    /// It blocks the thread that reads, so that nothing else is read either.
    #[error("a previous read is still blocked")]
    Blocked,
    /// There is no thread to read it on.
    #[error("cannot start reader thread: {0}")]
    NoThread(Errno),
    /// It has no content.
    #[error("empty")]
    Empty,
    /// A name is one line.
    #[error("more than one line")]
    SeveralLines,
    /// A name with a control character would break log lines and terminals.
    #[error("contains a control character")]
    ControlCharacter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_that_names_the_file() {
        let error = ReadError::new("/proc/uptime".into(), ReadErrorKind::Io(Errno::NOENT));
        assert_eq!(error.to_string(), "/proc/uptime: No such file or directory (os error 2)");
        let error = ReadError::new("/a\nb/loadavg".into(), ReadErrorKind::Missing("the 15m load"));
        assert_eq!(error.to_string(), "/a\\nb/loadavg: the 15m load is missing");
    }
}
