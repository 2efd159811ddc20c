//! One bounded read of one regular file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::{Errno, pread, retry_on_intr};

use super::error::ReadErrorKind;

/// The longest file of a tree that is read, in bytes. Usual files are shorter than 1 KiB.
pub const MAX_FILE_SIZE: u64 = 64 * 1024;
/// Room for every usual file, in bytes.
pub(super) const USUAL_SIZE: usize = 1024;

/// Opens the file, reads it whole, and hands its text to `parse`.
pub(super) fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, ReadErrorKind>) -> Result<T, ReadErrorKind> {
    whole(open(path)?, parse)
}

/// Reads an open file from where it stands to its end.
pub(super) fn whole<T>(file: File, parse: impl FnOnce(&str) -> Result<T, ReadErrorKind>) -> Result<T, ReadErrorKind> {
    text(&bytes(file, MAX_FILE_SIZE)?, parse)
}

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ReadErrorKind> {
    bytes(open(path)?, limit)
}

fn bytes(file: File, limit: u64) -> Result<Vec<u8>, ReadErrorKind> {
    let mut bytes = Vec::with_capacity(USUAL_SIZE);
    // One byte more than is allowed tells a file of exactly the limit from a longer one.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| ReadErrorKind::Io(errno(&error)))?;
    if bytes.len() as u64 > limit { Err(ReadErrorKind::TooLong(limit)) } else { Ok(bytes) }
}

/// Reads an open file of procfs from its start, with one system call: there, a short read is the whole file. Returns none
/// if it is longer than usual.
pub(super) fn once<'a>(file: &File, buffer: &'a mut [u8; USUAL_SIZE]) -> Result<Option<&'a [u8]>, Errno> {
    let length = retry_on_intr(|| pread(file, &mut buffer[..], 0))?;
    Ok((length < USUAL_SIZE).then_some(&buffer[..length]))
}

pub(super) fn text<T>(bytes: &[u8], parse: impl FnOnce(&str) -> Result<T, ReadErrorKind>) -> Result<T, ReadErrorKind> {
    parse(std::str::from_utf8(bytes).map_err(|_| ReadErrorKind::NotUtf8)?)
}

/// Opens a regular file. Opening a FIFO would wait for a writer without `O_NONBLOCK`. What was opened is checked, not the
/// path, which may lead elsewhere a moment later.
pub(super) fn open(path: &Path) -> Result<File, ReadErrorKind> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(ReadErrorKind::Io)?;
    let stat = rustix::fs::fstat(&file).map_err(ReadErrorKind::Io)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        Ok(File::from(file))
    } else {
        Err(ReadErrorKind::NotRegular)
    }
}

pub(crate) fn errno(error: &std::io::Error) -> Errno {
    match error.kind() {
        ErrorKind::OutOfMemory => Errno::NOMEM,
        _ => Errno::from_io_error(error).unwrap_or(Errno::IO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_at_the_limit() {
        use std::io::Seek;

        let mut file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(whole(file.try_clone().unwrap(), |_| Ok(())), Err(ReadErrorKind::TooLong(MAX_FILE_SIZE)));
        assert_eq!(file.stream_position().unwrap(), MAX_FILE_SIZE + 1);
    }
}
