//! The labs that run, and the one that a command is for.

use anyhow::{Result, bail};
use e2e::run::{self, Found};
use e2e::terminal::exit::Usage;
use e2e::terminal::out;
use e2e::workspace;

/// The labs that run or were kept. A check of a stack that already ran holds a run, too, and is none.
pub fn labs() -> Result<Vec<Found>> {
    let is_lab = |run: &Found| run.record.as_ref().is_none_or(|record| record.backend != "existing");
    Ok(run::list()?.into_iter().filter(|run| (run.alive || run.kept) && is_lab(run)).collect())
}

/// The run of that id; without one the only run. If there are several, a usage error lists them.
pub fn choose(id: Option<&str>) -> Result<Found> {
    let mut runs = labs()?;
    match id {
        Some(id) => match runs.iter().position(|run| run.id == id) {
            Some(at) => Ok(runs.swap_remove(at)),
            None => bail!("no lab has the id `{id}`; running: {}", names(&runs)),
        },
        None if runs.len() > 1 => bail!(Usage(format!("several labs are running, name one: {}", names(&runs)))),
        None => match runs.pop() {
            Some(run) => Ok(run),
            None => bail!("no lab is running; `{}` starts one", workspace::lab()),
        },
    }
}

fn names(runs: &[Found]) -> String {
    let name = |run: &Found| match &run.record {
        Some(record) => format!("{} ({})", run.id, record.backend),
        None => run.id.clone(),
    };
    out::names(&runs.iter().map(name).collect::<Vec<_>>())
}
