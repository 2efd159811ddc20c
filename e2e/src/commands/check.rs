//! `lab check`: up, every check, down.

use anyhow::Result;

use super::start;
use crate::checks;
use crate::cli;
use crate::local::Ports;
use crate::progress::Progress;
use crate::report::{Format, Report};

pub(super) fn check(args: &cli::Check) -> Result<u8> {
    let progress = Progress::default();
    let backend = start(&args.start, Ports::Any, &progress)?;
    let checks = checks::run_all(&*backend, |report| match args.format {
        Format::Text => println!("{}", report.text()),
        Format::Json => progress.line(&report.text()),
    });
    let report = Report { backend: backend.name(), steps: progress.times(), checks };
    match args.format {
        Format::Text => println!("{}", report.summary()),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    let code = report.exit_code();
    if code == 1 {
        for line in backend.complaints() {
            progress.line(&format!("  | {line}"));
        }
        match backend.save_evidence() {
            Ok(folder) => progress.line(&format!("the logs are in {}", folder.display())),
            Err(error) => progress.line(&format!("warn the logs were not saved: {error:#}")),
        }
    }
    drop(backend);
    Ok(code)
}
