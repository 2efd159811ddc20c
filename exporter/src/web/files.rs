//! The files that make up a web configuration, and whether they have changed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

/// The longest file that is read, in bytes: room for a bundle of every public CA.
const LONGEST: u64 = 1024 * 1024;

/// How long a file must have been left alone before it is read again: it may be half written.
const SETTLED: Duration = Duration::from_secs(1);

/// What one reading of the configuration has read, in order, and what it found.
pub(super) struct Files {
    first: PathBuf,
    read: Vec<PathBuf>,
    found: DefaultHasher,
}

impl Files {
    /// Nothing is read yet. Other paths are taken from the directory of the first.
    pub(super) fn new(first: PathBuf) -> Self {
        Self { first, read: Vec::new(), found: DefaultHasher::new() }
    }

    /// The same, as if nothing had been read.
    pub(super) fn again(&self) -> Self {
        Self::new(self.first.clone())
    }

    /// The file that names the others.
    pub(super) fn first(&self) -> &Path {
        &self.first
    }

    /// A path as it is meant.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.first.parent().unwrap_or(Path::new("")).join(path)
    }

    pub(super) fn read(&mut self, path: PathBuf) -> io::Result<Vec<u8>> {
        let outcome = read(&path);
        self.read.push(path);
        hash(&outcome, &mut self.found);
        outcome.map(|(bytes, _)| bytes)
    }

    /// Whether they are others than were read, and nobody is still writing them. Contents count, not times, which can
    /// stand still: a copy may keep them, and a clock may be set.
    pub(super) fn have_changed(&self) -> bool {
        let (mut found, mut settled) = (DefaultHasher::new(), true);
        for path in &self.read {
            let outcome = read(path);
            hash(&outcome, &mut found);
            // A time in the future says nothing about a file's age.
            let age = outcome.ok().and_then(|(_, modified)| modified.elapsed().ok());
            settled &= age.is_none_or(|age| age >= SETTLED);
        }
        settled && found.finish() != self.found.finish()
    }
}

fn hash(outcome: &io::Result<(Vec<u8>, SystemTime)>, hasher: &mut DefaultHasher) {
    match outcome {
        Ok((bytes, _)) => bytes.hash(hasher),
        Err(error) => error.kind().hash(hasher),
    }
}

/// A regular file only: opening a FIFO would wait for somebody to write to it.
fn read(path: &Path) -> io::Result<(Vec<u8>, SystemTime)> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok((bytes, metadata.modified()?))
}
