//! `lab screenshot`: a picture of the dashboard as Grafana draws it, from a lab that runs or from one of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use e2e::backend::{self, Ports};
use e2e::checks;
use e2e::checks::report::Outcome;
use e2e::client::chromium::{Chromium, Page};
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, Mark};
use e2e::terminal::progress::Progress;
use e2e::tools::{self, Tool};
use e2e::wait::{interrupt, poll};
use e2e::workspace;
use e2e::workspace::shipped::Shipped;

use crate::cli;
use crate::start::{Started, start};
use crate::which::choose;

/// What must be true before a picture is worth taking: a panel that is empty now would be empty in it.
const FIRST: [&str; 2] = ["dashboard-loaded", "panels-have-data"];

/// The least and the most that a picture shows, whatever the lab's age.
const WINDOW: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(60 * 60)];

pub fn screenshot(mut args: cli::Screenshot, progress: &Progress) -> Result<Exit> {
    if args.start.backend != cli::Backend::Local || args.start.without.contains(&cli::Part::Grafana) {
        bail!(Usage("a picture is taken of a local lab's Grafana: leave out `--backend kind` and `--without`".into()));
    }
    if let Some(id) = &args.run {
        let Some(chromium) = chromium(None) else { return Ok(Exit::Skipped) };
        return of_run(id, &args, &chromium, progress);
    }
    let grafana = grafana(&mut args.start, progress)?;
    let Some(chromium) = chromium(grafana) else { return Ok(Exit::Skipped) };
    let started = start(&args.start, Shipped::read()?, None, Ports::Any, progress)?;
    let taken = of_own(&started, &args, &chromium, progress);
    if taken.is_err() && !interrupt::seen() {
        backend::save_evidence(&*started.backend, progress);
    }
    drop(started);
    taken
}

/// Why Grafana cannot be had, if it cannot; found, it is named to the start.
fn grafana(start: &mut cli::Start, progress: &Progress) -> Result<Option<String>> {
    if start.grafana.is_some() || start.grafana_home.is_some() {
        return Ok(None);
    }
    match progress.step("look for Grafana", |step| Ok(tools::find(Tool::Grafana, None, step)))? {
        Ok(found) => start.grafana = Some(cli::Named::File(found.path)),
        Err(error) => return Ok(Some(format!("{error:#}"))),
    }
    Ok(None)
}

/// Chromium, unless it or something else is missing, which is said in one line.
fn chromium(mut missing: Option<String>) -> Option<Chromium> {
    let found = tools::find_present(Tool::Chromium).map(|found| Chromium::new(found.path));
    if let Err(error) = &found {
        let own = format!("chromium cannot be had ({error:#}); {}", Tool::Chromium.advice());
        missing = Some(missing.map_or(own.clone(), |other| format!("{other}; and {own}")));
    }
    match missing {
        None => found.ok(),
        Some(missing) => {
            out::note(&format!("{} no picture: {missing}", Mark::Skip));
            None
        }
    }
}

fn of_run(id: &str, args: &cli::Screenshot, chromium: &Chromium, progress: &Progress) -> Result<Exit> {
    interrupt::listen()?;
    let run = choose(Some(id))?;
    let record = run.record.with_context(|| format!("run {id} has not recorded anything about itself yet"))?;
    let link = record.links.iter().find(|(name, _)| name == "grafana");
    let (_, link) = link.with_context(|| format!("run {id} has no Grafana"))?;
    let place = tempfile::tempdir()?;
    let page = Page::of(&Shipped::read()?.dashboards[0], link, window(record.age()));
    draw(&page, args, chromium, &place.path().join("chromium"), progress)
}

fn of_own(started: &Started, args: &cli::Screenshot, chromium: &Chromium, progress: &Progress) -> Result<Exit> {
    for name in FIRST {
        let report = checks::run_one(started.subject(), name).with_context(|| format!("there is no check `{name}`"))?;
        interrupt::check()?;
        if !matches!(report.outcome, Outcome::Passed { .. }) {
            progress.trouble(&report.text());
            bail!("no picture: `{name}` did not pass");
        }
        progress.line(&report.text());
    }
    let stay = humantime::format_duration(args.stay);
    progress.step(&format!("let the lab run for {stay}"), |_| poll::pause(args.stay))?;
    let grafana = started.backend.stack().grafana.here().context("there is no Grafana")?;
    let dashboard = &started.shipped.dashboards[0];
    let page = Page::of(dashboard, &grafana.link(&dashboard.uid), window(args.stay));
    draw(&page, args, chromium, &started.backend.run().dir().join("chromium"), progress)
}

fn window(age: Duration) -> Duration {
    age.clamp(WINDOW[0], WINDOW[1])
}

fn draw(page: &Page, args: &cli::Screenshot, chromium: &Chromium, dir: &Path, progress: &Progress) -> Result<Exit> {
    let png = progress.step("draw the dashboard", |_| chromium.draw(page, dir))?;
    let folder = args.out.clone().unwrap_or_else(|| workspace::root().join("docs"));
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let (file, new) = (folder.join("dashboard.png"), folder.join(".dashboard.png.new"));
    // Written beside it and renamed: a full disk must not cost the picture that was there.
    let written = fs::write(&new, png).and_then(|()| fs::rename(&new, &file));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.with_context(|| format!("{} cannot be written", file.display()))?;
    out::line(&file.display().to_string())?;
    Ok(Exit::Ok)
}
