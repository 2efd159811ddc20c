//! `lab status`: a running lab's links, and what its Prometheus has scraped.

use anyhow::{Context as _, Result};

use super::choose;
use crate::cli::Which;
use crate::out;
use crate::prometheus::Prometheus;
use crate::samples;

pub(super) fn status(which: &Which) -> Result<u8> {
    let run = match choose(which.id.as_deref())? {
        Ok(run) => run,
        Err(code) => return Ok(code),
    };
    let record = run.record.with_context(|| format!("run {} has not told anything about itself yet", run.id))?;
    let state = if run.alive { "running" } else { "kept" };
    out::line(&format!("run {}  {}  {state}  process {}\n", run.id, record.backend, record.pid))?;
    if record.links.is_empty() {
        out::line("still starting")?;
        return Ok(0);
    }
    samples::print_links(&record.links)?;
    if let Some((_, base)) = record.links.iter().find(|(name, _)| name == "prometheus") {
        out::line("")?;
        samples::print(&samples::scraped(&Prometheus::new(base))?)?;
    }
    Ok(0)
}
