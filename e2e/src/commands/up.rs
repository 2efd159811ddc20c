//! `lab up`: stands the stack up, shows what there is to see, and stays.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::start;
use crate::cli;
use crate::interrupt::{self, Interrupted};
use crate::local::Ports;
use crate::poll;
use crate::progress::Progress;
use crate::samples;
use crate::stack::Backend;

/// How often the parts are looked after; one that ended is told within this time and a little more.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn up(args: &cli::Up) -> Result<u8> {
    let progress = Progress::default();
    let backend = match start(&args.start, Ports::Usual, &progress) {
        Err(error) if error.is::<Interrupted>() || interrupt::seen() => {
            progress.line("interrupted; nothing is left");
            return Ok(0);
        }
        other => other?,
    };
    let result = show_and_stay(&*backend, args.stay, &progress);
    match &result {
        // Ending a lab is what Ctrl-C is for.
        Err(error) if error.is::<Interrupted>() => {}
        Err(_) => {
            if let Ok(folder) = backend.save_evidence() {
                progress.line(&format!("the logs are in {}", folder.display()));
            }
        }
        Ok(()) => {}
    }
    progress.step("take the lab down", |_| {
        drop(backend);
        Ok(())
    })?;
    match result {
        Err(error) if !error.is::<Interrupted>() => Err(error),
        _ => Ok(0),
    }
}

fn show_and_stay(backend: &dyn Backend, stay: Option<Duration>, progress: &Progress) -> Result<()> {
    println!();
    samples::print_links(&backend.stack().links())?;
    let scraped = progress.step("wait for the first scrape", |_| samples::wait(backend))?;
    println!();
    samples::print(&scraped)?;
    println!();
    let until = stay.map_or("Ctrl-C".to_owned(), |stay| format!("{} s have passed, or Ctrl-C,", stay.as_secs()));
    progress.line(&format!("run {}; stays until {until} and leaves nothing behind", backend.run().id()));
    let end = stay.map(|stay| Instant::now() + stay);
    while end.is_none_or(|end| Instant::now() < end) {
        backend.alive().context("the lab lost a part")?;
        poll::pause(LOOK)?;
    }
    Ok(())
}
