//! Evidence: what a failed run leaves on purpose, saved before anything is deleted.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::paths;
use crate::run::Run;

/// So many runs' evidence is kept; the oldest goes first.
const KEPT: usize = 10;

/// Copies a run's logs and configurations to a folder that outlives it.
///
/// # Errors
///
/// The folder cannot be made.
pub fn save(run: &Run) -> Result<PathBuf> {
    let all = paths::state()?.join("evidence");
    let folder = all.join(run.id());
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for entry in fs::read_dir(run.dir())?.flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| ["log", "yml", "yaml", "json"].iter().any(|kind| extension == *kind))
        {
            fs::copy(&path, folder.join(entry.file_name()))?;
        }
    }
    prune(&all)?;
    Ok(folder)
}

fn prune(all: &std::path::Path) -> Result<()> {
    let mut folders: Vec<_> = fs::read_dir(all)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    folders.sort();
    for (_, old) in folders.iter().take(folders.len().saturating_sub(KEPT)) {
        fs::remove_dir_all(old)?;
    }
    Ok(())
}
