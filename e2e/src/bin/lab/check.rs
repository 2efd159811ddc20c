//! `lab check`: up, every check, down.

use std::fs;

use anyhow::{Context as _, Result};
use e2e::backend::{self, Ports};
use e2e::checks;
use e2e::checks::report::{Format, Report};
use e2e::terminal::exit::Exit;
use e2e::terminal::out::{self, OutError};
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;

use crate::cli;
use crate::start::start;

pub fn check(args: &cli::Check) -> Result<Exit> {
    let progress = Progress::default();
    let started = start(&args.start, Ports::Any, &progress)?;
    let checks = checks::run_all(started.subject(), |report| match args.format {
        // If nothing can be written the summary below says so; the exit code is right either way.
        Format::Text => drop(out::line(&report.text())),
        Format::Json => progress.line(&report.text()),
    });
    let backend = started.backend;
    let report = Report { backend: backend.name(), steps: progress.times(), checks };
    let json = serde_json::to_string_pretty(&report)?;
    if report.exit() == Exit::Failed || interrupt::seen() {
        // Whoever interrupts may be a pipeline whose time is up, and which wants to know what took so long.
        let _ = fs::write(backend.run().dir().join("report.json"), &json);
        for line in backend.complaints() {
            progress.line(&format!("  | {line}"));
        }
        backend::save_evidence(&*backend, &progress);
    }
    drop(backend);
    interrupt::check().with_context(|| format!("{} checks were done", report.checks.len()))?;
    let written = match args.format {
        Format::Text => out::line(&report.summary()),
        Format::Json => out::line(&json),
    };
    match written {
        Err(error) if !error.reader_has_gone() => Err(OutError::into(error)),
        _ => Ok(report.exit()),
    }
}
