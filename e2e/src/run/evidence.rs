//! Evidence: what a failed run leaves on purpose, saved before anything is deleted.

use std::path::PathBuf;

use anyhow::{Error, Result, anyhow};
use fs_err as fs;

use super::Run;

/// The evidence of this many runs is kept, the newest.
const KEPT: usize = 10;

/// Copies a run's logs and configurations to a folder that outlives it.
pub fn save(run: &Run) -> Result<PathBuf> {
    let all = run.state().join("evidence");
    let folder = all.join(run.id());
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(run.dir())?.flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| ["log", "yml", "yaml", "json"].iter().any(|kind| extension == *kind))
        {
            fs::copy(&path, folder.join(entry.file_name()))?;
        }
    }
    prune(&all);
    Ok(folder)
}

/// Adds the place of the logs below a failure, whose cause comes first.
pub fn below(error: &Error, what: &str, saved: Result<PathBuf>) -> Error {
    match saved {
        Ok(folder) => anyhow!("{error:#}\n{what}; its logs are in {}", folder.display()),
        Err(unsaved) => anyhow!("{error:#}\n{what}; cannot save its logs: {unsaved:#}"),
    }
}

/// Two runs may prune at once: what the other one removed first is no failure.
fn prune(all: &std::path::Path) {
    let mut folders: Vec<_> = fs::read_dir(all)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    folders.sort();
    for (_, old) in folders.iter().take(folders.len().saturating_sub(KEPT)) {
        let _ = fs::remove_dir_all(old);
    }
}
