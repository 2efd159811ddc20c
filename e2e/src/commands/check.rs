//! `lab check`: up, every check, down.

use std::fs;

use anyhow::{Context as _, Result};

use super::start;
use crate::local::Ports;
use crate::out::{self, OutError};
use crate::progress::Progress;
use crate::report::{Format, Report};
use crate::{checks, cli, evidence, interrupt};

pub(super) fn check(args: &cli::Check) -> Result<u8> {
    let progress = Progress::default();
    let backend = start(&args.start, Ports::Any, &progress)?;
    let checks = checks::run_all(&*backend, |report| match args.format {
        // The summary below says it if nothing can be written; the exit code is right either way.
        Format::Text => drop(out::line(&report.text())),
        Format::Json => progress.line(&report.text()),
    });
    let report = Report { backend: backend.name(), steps: progress.times(), checks };
    let json = serde_json::to_string_pretty(&report)?;
    if report.exit_code() == 1 || interrupt::seen() {
        // Whoever interrupts may be a pipeline whose time is up, which wants to know what took so long.
        let _ = fs::write(backend.run().dir().join("report.json"), &json);
        for line in backend.complaints() {
            progress.line(&format!("  | {line}"));
        }
        evidence::save_and_tell(&*backend, &progress);
    }
    drop(backend);
    interrupt::check().with_context(|| format!("{} checks were done", report.checks.len()))?;
    let written = match args.format {
        Format::Text => out::line(&report.summary()),
        Format::Json => out::line(&json),
    };
    match written {
        Err(error) if !error.reader_has_gone() => Err(OutError::into(error)),
        _ => Ok(report.exit_code()),
    }
}
