//! `lab screenshot`: up, a picture of the dashboard as Grafana draws it, down.

use std::fs;

use anyhow::{Context as _, Result, bail};
use e2e::backend::{self, Backend, Ports};
use e2e::checks::report::Outcome;
use e2e::client::chromium::{Chromium, Page};
use e2e::stack::Grafana;
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, Mark};
use e2e::terminal::progress::Progress;
use e2e::tools::{self, Tool};
use e2e::wait::interrupt;
use e2e::workspace::dashboard::{self, Dashboard};
use e2e::{checks, workspace};

use crate::cli;
use crate::start::start;

/// What must be true before a picture is worth taking: a panel that is empty now would be empty in it.
const FIRST: [&str; 2] = ["dashboard-loaded", "panels-have-data"];

pub fn screenshot(mut args: cli::Screenshot) -> Result<Exit> {
    if args.start.backend != cli::Backend::Local || args.start.without.contains(&cli::Part::Grafana) {
        bail!(Usage(
            "a picture is taken of the local lab's Grafana: leave out `--backend kind` and `--without`".into()
        ));
    }
    let progress = Progress::default();
    let Some(chromium) = find(&mut args.start, &progress)? else { return Ok(Exit::Skipped) };
    let backend = start(&args.start, Ports::Any, &progress)?;
    let taken = take(&*backend, &args, &chromium, &progress);
    if taken.is_err() && !interrupt::seen() {
        backend::save_evidence(&*backend, &progress);
    }
    drop(backend);
    taken.map(|()| Exit::Ok)
}

/// Looks for both programs before anything is started; nothing, and one line, if either is missing.
fn find(start: &mut cli::Start, progress: &Progress) -> Result<Option<Chromium>> {
    let mut missing = Vec::new();
    if start.grafana.is_none() && start.grafana_home.is_none() {
        match progress.step("look for Grafana", |step| Ok(tools::find(Tool::Grafana, None, step)))? {
            Ok(found) => start.grafana = Some(found.path),
            Err(error) => missing.push(format!("{error:#}")),
        }
    }
    let chromium = tools::find_present(Tool::Chromium).map(|found| Chromium::new(found.path));
    if let Err(error) = &chromium {
        missing.push(format!("chromium cannot be had ({error:#}); {}", Tool::Chromium.advice()));
    }
    if missing.is_empty() {
        return chromium.map(Some);
    }
    out::note(&format!("{} no picture: {}", Mark::Skip, missing.join("; and ")));
    Ok(None)
}

fn take(backend: &dyn Backend, args: &cli::Screenshot, chromium: &Chromium, progress: &Progress) -> Result<()> {
    for name in FIRST {
        let report = checks::run_one(backend, name).with_context(|| format!("there is no check `{name}`"))?;
        interrupt::check()?;
        progress.line(&report.text());
        if !matches!(report.outcome, Outcome::Passed { .. }) {
            bail!("no picture: `{name}` did not pass");
        }
    }
    let Grafana::Here(base) = &backend.stack().grafana else { bail!("there is no Grafana") };
    let shipped = Dashboard::read(&workspace::root().join(dashboard::FILE))?;
    let page = Page::of(&shipped, base);
    let png = progress.step("draw the dashboard", |_| chromium.draw(&page, &backend.run().dir().join("chromium")))?;

    let folder = args.out.clone().unwrap_or_else(|| workspace::root().join("docs"));
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let (file, aside) = (folder.join("dashboard.png"), folder.join(".dashboard.png.new"));
    // Written aside and renamed: a full disk must not cost the picture that was there.
    let written = fs::write(&aside, png).and_then(|()| fs::rename(&aside, &file));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written.with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(out::line(&file.display().to_string())?)
}
