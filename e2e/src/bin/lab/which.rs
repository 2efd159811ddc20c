//! Which of the running labs is meant.

use anyhow::{Result, bail};
use e2e::run::{self, Found};
use e2e::terminal::exit::Usage;

/// The run of that id; without one the only run. Several are listed, which is a usage error.
pub fn choose(id: Option<&str>) -> Result<Found> {
    let mut runs: Vec<Found> = run::list()?.into_iter().filter(|run| run.alive || run.kept).collect();
    match id {
        Some(id) => match runs.iter().position(|run| run.id == id) {
            Some(at) => Ok(runs.swap_remove(at)),
            None => bail!("no lab has the id `{id}`; running: {}", names(&runs)),
        },
        None if runs.len() > 1 => bail!(Usage(format!("several labs are running, name one: {}", names(&runs)))),
        None => match runs.pop() {
            Some(run) => Ok(run),
            None => bail!("no lab is running; `cargo lab` starts one"),
        },
    }
}

fn names(runs: &[Found]) -> String {
    let name = |run: &Found| match &run.record {
        Some(record) => format!("{} ({})", run.id, record.backend),
        None => run.id.clone(),
    };
    if runs.is_empty() { "none".into() } else { runs.iter().map(name).collect::<Vec<_>>().join(", ") }
}
