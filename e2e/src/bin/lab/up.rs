//! `lab up`: stands the stack up, shows what there is to see, and stays.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::backend::{self, Backend, Ports};
use e2e::process::command::Cmd;
use e2e::scenario::Scenario;
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, Mark, OutError};
use e2e::terminal::progress::Progress;
use e2e::tools::{self, Tool};
use e2e::wait::interrupt::{self, Interrupted};
use e2e::wait::poll;
use e2e::workspace::shipped::Shipped;

use crate::start::start;
use crate::{cli, scenario, tables};

/// How often the parts are looked at; one that ended is reported within this time and a little more.
const LOOK: Duration = Duration::from_millis(250);

pub fn up(args: &cli::Up) -> Result<Exit> {
    let progress = Progress::default();
    let shipped = Shipped::read()?;
    let scenario = args.scenario.as_ref().map(|played| find(played, args)).transpose()?;
    let stage = scenario.as_ref().map(|scenario| scenario::stage(scenario, args.speed.speed, &shipped)).transpose()?;
    let backend = match start(&args.start, shipped, stage, Ports::Usual, &progress) {
        Err(_) if interrupt::seen() => {
            progress.line(if args.start.keep { "interrupted" } else { "interrupted; nothing is left" });
            return Ok(Exit::Ok);
        }
        other => other?.backend,
    };
    let result = show_and_stay(&*backend, args, scenario.as_ref(), &progress);
    let failure = result.err().filter(|error| !is_an_end(error));
    if let Some(error) = &failure {
        // At once, for taking the rest down may take its time.
        progress.say(Mark::Fail, &format!("{error:#}"));
        backend::save_evidence(&*backend, &progress);
    }
    progress.step("take the lab down", |_| {
        let stopped = backend.stop();
        drop(backend);
        stopped
    })?;
    Ok(if failure.is_some() { Exit::Failed } else { Exit::Ok })
}

/// The scenario that is to be played.
fn find(played: &cli::Played, args: &cli::Up) -> Result<Scenario> {
    if args.start.backend != cli::Backend::Local || args.start.procfs.is_some() {
        let why = "`--scenario` needs `--backend local`, and its nodes have trees of their own";
        return Err(Usage(why.into()).into());
    }
    let scenario = Scenario::find(&played.name).map_err(|error| Usage(format!("{error:#}")))?;
    Ok(played.times.map_or(scenario.clone(), |times| scenario.times(times.into())))
}

/// Whether a lab that stays was ended by what ends labs: a signal, or a reader who has gone.
fn is_an_end(error: &anyhow::Error) -> bool {
    error.is::<Interrupted>() || error.downcast_ref().is_some_and(OutError::reader_has_gone)
}

fn show_and_stay(
    backend: &dyn Backend,
    args: &cli::Up,
    scenario: Option<&Scenario>,
    progress: &Progress,
) -> Result<()> {
    out::line("")?;
    tables::links(&backend.links())?;
    let scraped = progress.step("wait for the first scrape", |_| backend::await_samples(backend))?;
    out::line("")?;
    tables::samples(&scraped)?;
    out::line("")?;
    if args.start.backend == cli::Backend::Local && kind_is_possible() {
        progress.line("Docker, kind and kubectl are here too: `lab up --backend kind` runs all this on a cluster");
    }
    let until = args.stay.map_or("Ctrl-C".into(), |stay| format!("{} have passed", humantime::format_duration(stay)));
    let then = if args.start.keep { "its cluster stays" } else { "leaves nothing behind" };
    progress.line(&format!("run {} stays until {until}, and {then}", backend.run().id()));
    if let Some(scenario) = scenario {
        out::line("")?;
        scenario::play(scenario, args.speed.speed, backend)?;
    }
    // A time too long for the clock is for ever.
    let end = args.stay.and_then(|stay| Instant::now().checked_add(stay));
    while end.is_none_or(|end| Instant::now() < end) {
        backend.alive().context("the lab lost a part")?;
        let left = end.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
        poll::pause(left.min(LOOK))?;
    }
    Ok(())
}

/// Whether a cluster could be had; asked only of what is on this machine.
fn kind_is_possible() -> bool {
    let docker = Cmd::new("docker").args(["version", "--format", "{{.Server.Version}}"]).limit(Duration::from_secs(3));
    [Tool::Kind, Tool::Kubectl].iter().all(|tool| tools::find_present(*tool).is_ok()) && docker.run().is_ok()
}
