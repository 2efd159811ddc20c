//! `lab check`: up, every check, down; or every check of a stack that runs already.

use anyhow::{Context as _, Result};
use e2e::backend::existing::{self, Existing};
use e2e::backend::{self, Backend, Ports};
use e2e::checks::report::{Lines, Report};
use e2e::checks::{self, CHECKS, Check, Choice, Of, Subject};
use e2e::stack::JOB;
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, OutError};
use e2e::terminal::progress::Progress;
use e2e::terminal::report::{self, Format};
use e2e::wait::interrupt;
use e2e::workspace::project::Project;
use fs_err as fs;

use crate::cli;
use crate::start::start;

pub fn check(mut args: cli::Check, progress: &Progress) -> Result<Exit> {
    if args.list {
        out::table(&list())?;
        return Ok(Exit::Ok);
    }
    let (report, stopped) = report::reporting("lab check", args.format, || {
        args.start.complete()?;
        checked(&args, progress)
    })?;
    let written = match args.format {
        Format::Text => out::line(&report.summary()),
        Format::Json => out::line(&report.json()?),
        Format::Junit => out::line(&report.junit()?),
    };
    match written {
        Err(error) if !error.reader_has_gone() => Err(OutError::into(error)),
        _ => stopped.map(|()| report.exit()),
    }
}

/// What the checks found, and whether the stack stopped.
fn checked(args: &cli::Check, progress: &Progress) -> Result<(Report, Result<()>)> {
    let existing = args.existing().map_err(Usage)?;
    let choice = Choice { only: args.only.clone(), skip: args.skip.clone() };
    let project = Project::read(&args.start.description)?;
    let completed = |project: Project, is_ours| {
        choice.expect_possible(is_ours).map_err(Usage)?;
        if is_ours { project.or_shipped() } else { Ok(project) }
    };
    let (backend, project) = if let Some(options) = existing {
        let backend = connect(&options, progress)?;
        let is_ours = backend.stack().is_ours();
        (backend, completed(project, is_ours)?)
    } else {
        args.start.check(true).map_err(Usage)?;
        let is_ours = project.is_ours();
        let project = completed(project, is_ours)?;
        (start(&args.start, project.clone(), None, Ports::Any, progress)?, project)
    };
    let subject = Subject { backend: &*backend, project: &project };
    let mut lines = Lines::default();
    let checks = checks::run(subject, &choice, |report| match args.format {
        // If nothing can be written the summary below says so; the exit code is right either way.
        Format::Text => drop(out::line(&lines.next(report))),
        Format::Json | Format::Junit => progress.line(&lines.next(report)),
    });
    // An interrupt that comes later, while the stack stops, does not discard a complete report.
    let interrupted = interrupt::check();
    let report = Report { backend: backend.name(), images: backend.images(), steps: progress.times(), checks };
    if report.exit() == Exit::Failed || interrupted.is_err() {
        // Also after an interrupt, such as a pipeline's timeout: the times say what took long.
        let _ = fs::write(backend.run().dir().join("report.json"), report.json()?);
        for line in backend.complaints() {
            progress.trouble(&format!("  | {}", out::plain(&line)));
        }
        backend::save_evidence(&*backend, progress);
    }
    let stopped = backend.stop();
    drop(backend);
    interrupted.with_context(|| format!("{} done", out::count(report.checks.len(), "check", "checks")))?;
    Ok((report, stopped))
}

/// Each check, whose targets it is for, and what it proves.
fn list() -> Vec<Vec<String>> {
    let of = |check: &Check| if check.of == Of::Any { "any exporter" } else { JOB };
    CHECKS.iter().map(|check| [check.name, of(check), check.proves].map(str::to_owned).to_vec()).collect()
}

fn connect(options: &existing::Options, progress: &Progress) -> Result<Box<dyn Backend>> {
    interrupt::listen()?;
    Ok(Box::new(Existing::connect(options, progress)?))
}
