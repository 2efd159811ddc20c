//! Runs: each lab has an id and a directory that it holds by a lock, so that any later run can tell a living lab from
//! what a killed one left behind.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::paths;

const LOCK: &str = "lock";
const RECORD: &str = "run.json";
const KEPT: &str = "kept";

/// What a run tells other processes about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The process that holds the run.
    pub pid: u32,
    /// `local` or `kind`.
    pub backend: String,
    /// What there is to open: name and address.
    pub links: Vec<(String, String)>,
}

/// A run of this process. Dropping it removes its directory.
#[derive(Debug)]
pub struct Run {
    id: String,
    dir: PathBuf,
    _lock: File,
}

impl Run {
    /// Makes a new run: an id, its directory, and the lock on it.
    ///
    /// # Errors
    ///
    /// The state directory cannot be written.
    pub fn create(backend: &str) -> Result<Self> {
        let runs = runs()?;
        let _one_at_a_time = gate(&runs)?;
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let id = format!("{:x}-{nanos:x}", std::process::id());
        let dir = runs.join(&id);
        fs::create_dir(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let lock = File::create(dir.join(LOCK))?;
        lock.try_lock().with_context(|| format!("{} cannot be locked", dir.display()))?;
        let run = Self { id, dir, _lock: lock };
        run.record(backend, Vec::new())?;
        Ok(run)
    }

    /// Lower-case letters, digits and a dash: fit for names of containers and clusters.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The run's own directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tells other processes what runs here.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub fn record(&self, backend: &str, links: Vec<(String, String)>) -> Result<()> {
        let record = Record { pid: std::process::id(), backend: backend.into(), links };
        // Written aside and renamed: a reader sees a whole record or none.
        let aside = self.dir.join("run.json.new");
        fs::write(&aside, serde_json::to_vec_pretty(&record)?)?;
        Ok(fs::rename(aside, self.dir.join(RECORD))?)
    }

    /// Lets what this run made outlive it, until `lab down` removes it.
    ///
    /// # Errors
    ///
    /// The mark cannot be written.
    pub fn keep(&self) -> Result<()> {
        Ok(fs::write(self.dir.join(KEPT), "")?)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.dir.join(KEPT).exists() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A run as another process sees it.
#[derive(Debug)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its directory.
    pub dir: PathBuf,
    /// What it told; nothing if it was killed before it could.
    pub record: Option<Record>,
    /// Whether its process still lives.
    pub alive: bool,
    /// Whether it is meant to outlive its process.
    pub kept: bool,
}

/// All runs in the state directory, by id.
///
/// # Errors
///
/// The state directory cannot be read.
pub fn list() -> Result<Vec<Found>> {
    let runs = runs()?;
    let _one_at_a_time = gate(&runs)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&runs)? {
        let dir = entry?.path();
        if dir.is_dir() {
            found.push(look(dir));
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// What a killed run left: its lock is free, and nobody asked to keep it.
///
/// # Errors
///
/// The state directory cannot be read.
pub fn abandoned() -> Result<Vec<Found>> {
    Ok(list()?.into_iter().filter(|run| !run.alive && !run.kept).collect())
}

fn look(dir: PathBuf) -> Found {
    let lock = File::open(dir.join(LOCK)).map(|file| file.try_lock());
    Found {
        id: dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        record: fs::read(dir.join(RECORD)).ok().and_then(|json| serde_json::from_slice(&json).ok()),
        alive: matches!(lock, Ok(Err(TryLockError::WouldBlock))),
        kept: dir.join(KEPT).exists(),
        dir,
    }
}

fn runs() -> Result<PathBuf> {
    let runs = paths::state()?.join("runs");
    fs::create_dir_all(&runs).with_context(|| format!("{} cannot be made", runs.display()))?;
    Ok(runs)
}

/// Held while a run is made or looked at: between its directory and its lock, a new run would look abandoned.
fn gate(runs: &Path) -> io::Result<File> {
    let gate = File::create(runs.join("gate"))?;
    gate.lock()?;
    Ok(gate)
}
