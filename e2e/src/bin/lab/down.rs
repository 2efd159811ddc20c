//! `lab down`: asks a running lab to end, or removes what a kept one holds.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::backend::sweep;
use e2e::run::{self, Found};
use e2e::terminal::exit::Exit;
use e2e::terminal::progress::Progress;
use e2e::wait::poll::{self, Attempt};

use crate::cli::Which;
use crate::which::choose;

/// How long a lab may take to end: the deletion of a cluster takes longest.
const LIMIT: Duration = Duration::from_secs(120);

pub fn down(which: &Which, progress: &Progress) -> Result<Exit> {
    let found = choose(which.id.as_deref())?;
    progress.step(&format!("stop run {}", found.id), |_| {
        if !found.alive {
            return sweep::remove(&found);
        }
        found.ask_to_end()?;
        let ended = poll::until("its end", LIMIT, Duration::from_millis(100), || match still_there(&found.id) {
            Ok(None) => Attempt::Ready(()),
            // A lab whose cluster is kept leaves it when it ends.
            Ok(Some(run)) if !run.alive => sweep::remove(&run).map_or_else(Attempt::Failed, Attempt::Ready),
            Ok(Some(run)) => Attempt::NotYet(format!("{} is still there", run.dir.display())),
            Err(error) => Attempt::Failed(error),
        });
        let process = found.record.as_ref().map_or("unknown".into(), |record| record.pid.to_string());
        let dir = found.dir.display();
        ended.with_context(|| format!("its process ({process}) was asked to end; if it is gone, remove {dir}"))
    })?;
    Ok(Exit::Ok)
}

fn still_there(id: &str) -> Result<Option<Found>> {
    Ok(run::list()?.into_iter().find(|run| run.id == id))
}
