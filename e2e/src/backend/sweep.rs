//! The sweep: what a killed run left is removed by the next one, and nothing else is.

use std::io;

use anyhow::Result;
use fs_err as fs;

use crate::backend::kind;
use crate::docker::containers;
use crate::process::leftover;
use crate::run::{self, Found};
use crate::terminal::progress::Progress;

/// Removes what abandoned runs left. What cannot be removed is said, and does not stop the run that sweeps.
pub fn sweep(progress: &Progress) {
    let abandoned = match run::abandoned() {
        Ok(abandoned) => abandoned,
        Err(error) => return progress.trouble(&format!("warn cannot list abandoned runs: {error:#}")),
    };
    for run in abandoned {
        match remove(&run) {
            Ok(()) => progress.line(&format!("     removed what run {} left behind", run.id)),
            Err(error) => progress.trouble(&format!("warn cannot remove what run {} left behind: {error:#}", run.id)),
        }
    }
}

/// Removes what a run made that no process holds any more.
pub fn remove(run: &Found) -> Result<()> {
    match run.record.as_ref().map(|record| record.backend.as_str()) {
        Some("kind") => kind::sweep(run)?,
        Some("container") => containers::remove(&run.id)?,
        _ => {}
    }
    leftover::kill_all_of(&run.dir);
    match fs::remove_dir_all(&run.dir) {
        // Another run swept at the same time.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_sweep_removed_first_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let found = Found { id: "1-1".into(), dir: dir.path().join("1-1"), record: None, alive: false, kept: false };
        fs::create_dir(&found.dir).unwrap();
        remove(&found).unwrap();
        remove(&found).unwrap();
    }
}
