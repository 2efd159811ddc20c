//! The sweep: what a killed run left is removed by the next one, and nothing else is.

use std::fs;

use anyhow::{Context as _, Result};

use crate::kind;
use crate::progress::Progress;
use crate::run::{self, Found};

/// Removes what abandoned runs left. What cannot be removed is said, and does not stop the run that sweeps.
pub fn sweep(progress: &Progress) {
    let abandoned = match run::abandoned() {
        Ok(abandoned) => abandoned,
        Err(error) => return progress.line(&format!("warn abandoned runs were not looked for: {error:#}")),
    };
    for run in abandoned {
        match remove(&run) {
            Ok(()) => progress.line(&format!("     removed what run {} left behind", run.id)),
            Err(error) => progress.line(&format!("warn run {} left something behind: {error:#}", run.id)),
        }
    }
}

/// Removes what a run made that no process holds any more.
///
/// # Errors
///
/// Something could not be removed.
pub fn remove(run: &Found) -> Result<()> {
    if run.record.as_ref().is_some_and(|record| record.backend == "kind") {
        kind::sweep(run)?;
    }
    fs::remove_dir_all(&run.dir).with_context(|| format!("{} cannot be removed", run.dir.display()))
}
