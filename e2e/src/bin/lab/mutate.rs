//! `lab mutate`: changes rules one clause at a time, and lists the changes that no unit test notices.

use std::time::Instant;

use anyhow::{Result, ensure};
use e2e::mutate::{self, Options};
use e2e::terminal::exit::Exit;
use e2e::terminal::out;
use e2e::terminal::progress::Progress;
use e2e::terminal::report::{self, Format};
use e2e::tools::{self, Tool};
use e2e::wait::interrupt::{self, Interrupted};

use crate::cli;

pub fn mutate(args: &cli::Mutate, progress: &Progress) -> Result<Exit> {
    interrupt::listen()?;
    let began = Instant::now();
    let report = report::reporting("lab mutate", args.format, || {
        let promtool = progress.step("find promtool", |step| tools::find(Tool::Promtool, None, step))?.path;
        let (rules, tests, only) = (args.rules.clone(), args.tests.clone(), args.only.clone());
        mutate::run(Options { rules, tests, only, promtool }, progress)
    })?;
    out::line(&match args.format {
        Format::Text => report.text(began.elapsed()),
        Format::Json => report.json()?,
        Format::Junit => report.junit()?,
    })?;
    ensure!(report.is_complete(), Interrupted);
    Ok(report.exit())
}
