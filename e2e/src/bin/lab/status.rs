//! `lab status`: a running lab's links, and what its Prometheus has scraped.

use anyhow::{Context as _, Result};
use e2e::client::prometheus::Prometheus;
use e2e::stack::{JOB, samples};
use e2e::terminal::exit::Exit;
use e2e::terminal::out;

use crate::cli::Which;
use crate::tables;
use crate::which::choose;

pub fn status(which: &Which) -> Result<Exit> {
    let run = choose(which.id.as_deref())?;
    let record = run.record.with_context(|| format!("run {} has not said anything about itself yet", run.id))?;
    let state = if run.alive { "running" } else { "kept" };
    out::line(&format!("run {}  {}  {state}  process {}\n", run.id, record.backend, record.pid))?;
    if record.links.is_empty() {
        out::line("still starting")?;
        return Ok(Exit::Ok);
    }
    tables::links(&record.links)?;
    if let Some((_, base)) = record.links.iter().find(|(name, _)| name == "prometheus") {
        out::line("")?;
        tables::samples(&samples::scraped(&Prometheus::new(base), JOB)?)?;
    }
    Ok(Exit::Ok)
}
