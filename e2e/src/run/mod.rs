//! Runs: each lab has an id, and a directory that it holds by a lock, by which other runs recognize a running lab.

pub mod evidence;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use fs_err::{self as fs, File};
use serde::{Deserialize, Serialize};

use crate::terminal::out::{self, Mark};
use crate::wait::interrupt;
use crate::wait::lock::{self, Lock};
use crate::workspace;

const RUNS: &str = "runs";
const GATE: &str = "gate";
const LOCK: &str = "lock";
const RECORD: &str = "run.json";
const KEPT: &str = "kept";
const END: &str = "end";

/// What a run records for other processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The process that holds the run, for people: in another PID namespace, or on another host over the same
    /// directory, it is another process' number.
    pub pid: u32,
    /// `local`, `kind`, `existing` or `container`.
    pub backend: String,
    /// What there is to open: name and address.
    pub links: Vec<(String, String)>,
}

/// A run of this process. Dropping it removes its directory.
#[derive(Debug)]
pub struct Run {
    state: PathBuf,
    id: String,
    dir: PathBuf,
    _lock: File,
}

impl Run {
    /// Makes a new run: an id, its directory, and the lock on it. From now on `lab down` can interrupt this process.
    pub fn create(backend: &str) -> Result<Self> {
        let run = Self::create_in(workspace::state()?, backend)?;
        interrupt::listen_to(run.dir.join(END));
        Ok(run)
    }

    /// As [`Run::create`], with a state directory of one's own: for tests.
    pub fn create_in(state: PathBuf, backend: &str) -> Result<Self> {
        let runs = runs(&state)?;
        let _one_at_a_time = gate(&runs)?;
        let id = format!("{:x}-{:x}", std::process::id(), now().subsec_nanos());
        let dir = runs.join(&id);
        fs::create_dir(&dir)?;
        let lock = File::create(dir.join(LOCK))?;
        if let Err(error) = lock.file().try_lock() {
            let place = runs.display();
            out::note(&format!(
                "{} cannot lock files in {place} ({error}); what a killed lab leaves is not removed",
                Mark::Warn
            ));
        }
        let run = Self { state, id, dir, _lock: lock };
        run.record(backend, Vec::new())?;
        Ok(run)
    }

    /// Lower-case letters, digits and a dash: fit for names of containers and clusters.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The state directory, which outlives the run.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The run's own directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tells other processes what runs here.
    pub fn record(&self, backend: &str, links: Vec<(String, String)>) -> Result<()> {
        let record = Record { pid: std::process::id(), backend: backend.into(), links };
        Ok(workspace::replace(&self.dir.join(RECORD), serde_json::to_vec_pretty(&record)?)?)
    }

    /// Lets what this run made outlive it, until `lab down` removes it.
    pub fn keep(&self) -> Result<()> {
        Ok(fs::write(self.dir.join(KEPT), "")?)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.dir.join(KEPT).exists() {
            let _gate = lock::hold_shielded(&self.state.join(RUNS).join(GATE), GATE_LIMIT);
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
    /// What it said of itself; nothing if it was killed before it could.
    pub record: Option<Record>,
    /// Whether its process still lives.
    pub alive: bool,
    /// Whether it is meant to outlive its process.
    pub kept: bool,
}

/// All runs in the state directory, by id.
pub fn list() -> Result<Vec<Found>> {
    list_in(&workspace::state()?)
}

fn list_in(state: &Path) -> Result<Vec<Found>> {
    let runs = runs(state)?;
    let _one_at_a_time = gate(&runs)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&runs)? {
        let dir = entry?.path();
        if dir.is_dir() {
            found.push(self::found(dir));
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// The runs that were killed: their lock is free, and they are not kept.
pub fn abandoned() -> Result<Vec<Found>> {
    Ok(list()?.into_iter().filter(Found::is_abandoned).collect())
}

impl Found {
    /// Whether no process holds it and it is not kept.
    pub fn is_abandoned(&self) -> bool {
        !self.alive && !self.kept
    }

    /// `running` or `kept`.
    pub fn state(&self) -> &'static str {
        if self.alive { "running" } else { "kept" }
    }

    /// The address of its Prometheus, once it has one.
    pub fn prometheus(&self) -> Option<&str> {
        let links = &self.record.as_ref()?.links;
        Some(links.iter().find(|(name, _)| name == "prometheus")?.1.as_str())
    }

    /// Asks the process that holds it to end. Through its directory: that reaches it in any PID namespace and on any
    /// host, where a process id would name an innocent.
    pub fn ask_to_end(&self) -> Result<()> {
        Ok(fs::write(self.dir.join(END), "")?)
    }
}

fn found(dir: PathBuf) -> Found {
    Found {
        id: dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        record: fs::read(dir.join(RECORD)).ok().and_then(|json| serde_json::from_slice(&json).ok()),
        alive: is_held(&dir.join(LOCK)),
        kept: dir.join(KEPT).exists(),
        dir,
    }
}

/// A lock whose state cannot be told is taken as held: some file systems have none, and NFS asks for write access.
fn is_held(lock: &Path) -> bool {
    match fs::OpenOptions::new().read(true).write(true).open(lock) {
        Ok(file) => file.file().try_lock().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn runs(state: &Path) -> Result<PathBuf> {
    let runs = state.join(RUNS);
    fs::create_dir_all(&runs)?;
    Ok(runs)
}

/// How long to wait for the gate, which others hold for milliseconds.
const GATE_LIMIT: Duration = Duration::from_secs(5);

/// Held while a run is made, listed or removed: a directory without its lock would look abandoned.
fn gate(runs: &Path) -> Result<Lock> {
    lock::hold(&runs.join(GATE), GATE_LIMIT, |_| {})
        .context("a suspended lab may hold this lock; resume it (`kill -CONT`) or end it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::poll;

    fn only(state: &Path) -> Found {
        let mut found = list_in(state).unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    #[test]
    fn a_run_is_alive_until_it_is_dropped_and_then_gone() {
        let state = tempfile::tempdir().unwrap();
        let run = Run::create_in(state.path().into(), "local").unwrap();
        run.record("local", vec![("prometheus".into(), "http://127.0.0.1:1".into())]).unwrap();
        let found = only(state.path());
        assert!(found.alive && !found.is_abandoned());
        assert_eq!(found.id, run.id());
        let record = found.record.unwrap();
        assert_eq!((record.pid, record.links.len()), (std::process::id(), 1));
        drop(run);
        assert!(list_in(state.path()).unwrap().is_empty());
    }

    #[test]
    fn a_run_that_is_being_removed_does_not_look_abandoned() {
        let state = tempfile::tempdir().unwrap();
        let run = Run::create_in(state.path().into(), "local").unwrap();
        let lock = run.dir().join(LOCK);
        let held = gate(&runs(state.path()).unwrap()).unwrap();
        let removal = std::thread::spawn(|| drop(run));
        poll::pause(Duration::from_millis(200)).unwrap();
        assert!(lock.exists(), "removed while another run is listing");
        drop(held);
        removal.join().unwrap();
        assert!(list_in(state.path()).unwrap().is_empty());
    }

    /// As a lab that was stopped at the wrong moment would.
    #[test]
    fn a_gate_that_stays_locked_is_an_error_that_names_it() {
        let state = tempfile::tempdir().unwrap();
        let _held = gate(&runs(state.path()).unwrap()).unwrap();
        let error = format!("{:#}", list_in(state.path()).unwrap_err());
        assert!(error.contains("runs/gate") && error.contains("another run holds the lock"), "{error}");
    }

    #[test]
    fn a_kept_run_outlives_its_process_and_is_not_abandoned() {
        let state = tempfile::tempdir().unwrap();
        Run::create_in(state.path().into(), "kind").unwrap().keep().unwrap();
        let found = only(state.path());
        assert!(!found.alive && found.kept && !found.is_abandoned());
    }

    #[test]
    fn an_unlocked_directory_is_abandoned_whatever_it_holds() {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("runs/1-1");
        fs::create_dir_all(&dir).unwrap();
        assert!(only(state.path()).is_abandoned());
        fs::write(dir.join(LOCK), "").unwrap();
        fs::write(dir.join(RECORD), "{").unwrap();
        let found = only(state.path());
        assert!(found.is_abandoned() && found.record.is_none());
    }
}
