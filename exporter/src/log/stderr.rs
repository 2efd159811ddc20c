//! Standard error, without ever waiting for it to be read.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};

/// A pipe that has room takes this much at once (`PIPE_BUF`); more might have to wait for its reader.
const PIECE: usize = 4096;

/// Drops log lines while there is no room, and logs their count afterwards.
pub(super) struct NonBlockingStderr {
    to: OwnedFd,
    lost: AtomicU64,
    /// The last line broke off in the middle.
    cut: AtomicBool,
}

impl NonBlockingStderr {
    /// This process's standard error.
    pub(super) fn open() -> io::Result<Self> {
        let stderr = io::stderr();
        let to = match reopen(&stderr) {
            Some(own) => own,
            None => stderr.as_fd().try_clone_to_owned()?,
        };
        Ok(Self::over(to))
    }

    fn over(to: OwnedFd) -> Self {
        Self { to, lost: AtomicU64::new(0), cut: AtomicBool::new(false) }
    }

    /// Writes a line, or counts it as lost. `report` logs how many were lost before, once there is room again.
    fn line(&self, line: &[u8], report: impl FnOnce(u64)) {
        if self.lost.load(Relaxed) > 0 && self.has_room() {
            report(self.lost.swap(0, Relaxed));
        }
        if !self.put(line) {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    fn put(&self, line: &[u8]) -> bool {
        if self.cut.load(Relaxed) && self.piece(b"\n") != 1 {
            return false;
        }
        self.cut.store(false, Relaxed);
        let mut written = 0;
        for piece in line.chunks(PIECE) {
            let taken = self.piece(piece);
            written += taken;
            if taken < piece.len() {
                self.cut.store(written > 0, Relaxed);
                return false;
            }
        }
        true
    }

    /// Returns how many of the bytes were written.
    fn piece(&self, bytes: &[u8]) -> usize {
        if self.has_room() { rustix::io::write(&self.to, bytes).unwrap_or(0) } else { 0 }
    }

    fn has_room(&self) -> bool {
        let mut asked = [PollFd::new(&self.to, PollFlags::OUT)];
        poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents().contains(PollFlags::OUT)
    }
}

impl Write for &NonBlockingStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line, |lines| tracing::error!(lines, "dropped log lines: stderr was not being read"));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens the same pipe or terminal once more, non-blocking: another process may take the room first. Setting the flag on
/// the inherited descriptor would set it for every process that shares it.
fn reopen(stderr: &io::Stderr) -> Option<OwnedFd> {
    let stat = rustix::fs::fstat(stderr).ok()?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo | FileType::CharacterDevice => {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            rustix::fs::open("/dev/fd/2", flags, Mode::empty()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::sync::mpsc::channel;

    use super::*;

    /// A pipe that is read when the test does.
    fn piped() -> (File, NonBlockingStderr) {
        let (reader, writer) = io::pipe().unwrap();
        (File::from(OwnedFd::from(reader)), NonBlockingStderr::over(writer.into()))
    }

    #[test]
    fn lines_without_room_are_dropped_whole_and_counted_once() {
        let (mut reader, stderr) = piped();
        let line = [b'x'; 99].into_iter().chain([b'\n']).collect::<Vec<u8>>();
        let (mut said, lines) = (Vec::new(), 2000);
        for _ in 0..lines {
            stderr.line(&line, |lost| said.push(lost));
        }
        assert!(said.is_empty(), "there was no room to say so: {said:?}");
        let mut kept = vec![0; 1 << 20];
        let read = reader.read(&mut kept).unwrap();
        assert!(read > 0 && kept[..read].chunks(line.len()).all(|one| one == line), "a line is not whole");
        for _ in 0..2 {
            stderr.line(&line, |lost| said.push(lost));
        }
        assert_eq!(said, [(lines - read / line.len()) as u64]);
        let read = reader.read(&mut kept).unwrap();
        assert_eq!(kept[..read], line.repeat(2), "none of them was cut");
    }

    #[test]
    fn the_line_after_one_that_was_cut_begins_on_its_own() {
        let (mut reader, stderr) = piped();
        stderr.line(&vec![b'x'; 1 << 20], |_| {});
        let mut kept = vec![0; 1 << 20];
        let read = reader.read(&mut kept).unwrap();
        assert!(read >= PIECE && kept[..read].iter().all(|&byte| byte == b'x'));
        stderr.line(b"next\n", |_| {});
        let read = reader.read(&mut kept).unwrap();
        assert_eq!(kept[..read], *b"\nnext\n");
    }

    #[test]
    fn a_line_that_is_longer_than_a_piece_is_whole() {
        let (mut reader, stderr) = piped();
        let line = vec![b'x'; 3 * PIECE + 1];
        stderr.line(&line, |_| {});
        drop(stderr);
        let mut kept = Vec::new();
        reader.read_to_end(&mut kept).unwrap();
        assert_eq!(kept, line);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let (reader, stderr) = piped();
        drop(reader);
        let (sender, ended) = channel();
        std::thread::spawn(move || sender.send((&stderr).write(b"line\n").unwrap()));
        assert_eq!(ended.recv_timeout(std::time::Duration::from_secs(10)), Ok(5));
    }
}
