//! `lab status`: the running labs, or one lab's links and what its Prometheus has scraped.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::client::prometheus::Prometheus;
use e2e::run::{self, Found};
use e2e::stack::nodes::Nodes;
use e2e::terminal::exit::Exit;
use e2e::terminal::live::Live;
use e2e::terminal::out;
use e2e::wait::{interrupt, poll};

use crate::cli::Status;
use crate::tables;
use crate::watch::watch;
use crate::which::{choose, labs};

pub fn status(args: &Status) -> Result<Exit> {
    let several = if args.which.id.is_none() && !args.watch { labs()? } else { Vec::new() };
    if several.len() > 1 {
        tables::runs(&several)?;
        return Ok(Exit::Ok);
    }
    let run = choose(args.which.id.as_deref())?;
    if args.watch {
        // Before the first line, for its reader may stop the command.
        interrupt::listen()?;
    }
    let Some(prometheus) = links(&run)? else { return Ok(Exit::Ok) };
    let seen = Nodes::query(&prometheus)?;
    let live = Live::default();
    if !args.watch || !live.is_drawn() {
        out::line(&tables::nodes(&seen)?)?;
        out::line(&seen.summary().join("\n"))?;
    }
    if args.watch {
        let is_it = |other: &Found| other.id == run.id && !other.is_abandoned();
        // A run whose state is unknown may still run.
        let is_there = || run::list().map_or(true, |runs| runs.iter().any(is_it));
        watch(&prometheus, &live, seen.summary(), |time| pause(time, is_there))?;
        if !is_there() {
            live.line(&format!("run {} has ended", run.id))?;
        }
    }
    Ok(Exit::Ok)
}

/// Prints what a run has recorded: its links. Returns its Prometheus, once it has one.
pub fn links(run: &Found) -> Result<Option<Prometheus>> {
    let record = run.record.as_ref();
    let record = record.with_context(|| format!("run {} has not recorded anything yet", run.id))?;
    let state = run.state();
    out::line(&format!("run {}  {}  {state}  process {}\n", run.id, record.backend, record.pid))?;
    if record.links.is_empty() {
        out::line("still starting")?;
        return Ok(None);
    }
    tables::links(&record.links)?;
    if run.prometheus().is_some() {
        out::line("")?;
    }
    Ok(run.prometheus().map(Prometheus::new))
}

/// Waits; false once the run or the reader of the output is gone, or after an interrupt.
fn pause(time: Duration, is_there: impl Fn() -> bool) -> bool {
    poll::pause(time).is_ok() && out::check_reader().is_ok() && is_there()
}
