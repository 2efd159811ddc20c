//! `lab up`: starts the stack, shows links and samples, and stays.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::backend::{self, Backend, Ports};
use e2e::client::alertmanager::Delivery;
use e2e::play::file::TestFile;
use e2e::process::command::Cmd;
use e2e::scenario::Scenario;
use e2e::stack::Part;
use e2e::stack::nodes::Nodes;
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::live::Live;
use e2e::terminal::out::{self, Mark, OutError};
use e2e::terminal::progress::Progress;
use e2e::tools::{self, Tool};
use e2e::wait::interrupt::{self, Interrupted};
use e2e::wait::poll;
use e2e::workspace::project::Project;
use fs_err as fs;

use crate::start::start;
use crate::watch::watch;
use crate::{cli, detach, scenario, tables};

/// How often to check whether every part still runs.
const LOOK: Duration = Duration::from_millis(250);

pub fn up(args: &cli::Up, progress: &Progress) -> Result<Exit> {
    let background = detach::enter()?;
    if args.detach && background.is_none() {
        return detach::detach(progress);
    }
    let scenarios = args.scenario.as_ref().map(|name| find(name, args)).transpose()?;
    // Samples that arrive by remote write need no exporter.
    let has_exporter = scenarios.as_ref().is_none_or(|all| all.iter().any(|one| !one.timelines.is_empty()));
    args.start.check(has_exporter).map_err(Usage)?;
    let mut project = Project::read(&args.start.description)?;
    if project.is_ours() {
        project = project.or_shipped()?;
    }
    let speed = args.speed.of_scenario();
    let setup = scenarios.as_ref().map(|all| scenario::setup(all, speed, &project, progress)).transpose()?;
    let backend = match start(&args.start, project, setup, Ports::Usual, progress) {
        Err(_) if interrupt::seen() => {
            progress.line(if args.start.keep { "interrupted" } else { "interrupted; everything was removed" });
            return Ok(Exit::Ok);
        }
        other => other?,
    };
    let result = show_and_stay(&*backend, args, scenarios.as_deref(), background.as_deref(), progress);
    let failure = result.err().filter(|error| !is_an_end(error));
    if let Some(error) = &failure {
        // At once, for taking the rest down may take its time.
        progress.say(Mark::Fail, &format!("{error:#}"));
        backend::save_evidence(&*backend, progress);
    }
    progress.step("stop the lab", |_| {
        let stopped = backend.stop();
        drop(backend);
        stopped
    })?;
    Ok(if failure.is_some() { Exit::Failed } else { Exit::Ok })
}

/// What `--scenario` names: a shipped scenario, the scenarios of a file, or its one test of other series, `FILE:LINE` where
/// it has several.
fn find(name: &str, args: &cli::Up) -> Result<Vec<Scenario>> {
    let start = &args.start;
    if start.backend != cli::Backend::Local || start.procfs.is_some() || !start.description.target.is_empty() {
        let why = "`--scenario` needs `--backend local`, and its nodes are exporters with trees of their own";
        return Err(Usage(why.into()).into());
    }
    if !start.description.rules.is_empty() {
        return Err(Usage("`--scenario` and `--rules`: a scenario names its rules".into()).into());
    }
    let read = || {
        let file = TestFile::read_at(&e2e::scenario::place(name)?)?;
        let lines: Vec<String> = file.groups.iter().map(|group| group.line.to_string()).collect();
        ensure!(!lines.is_empty(), "{name}: no test");
        let scenarios = file.groups.iter().map(|group| Scenario::read(&file, group)).collect::<Result<_>>()?;
        let mut labs = e2e::scenario::labs(scenarios);
        ensure!(labs.len() == 1, "{name}: several tests; name one as FILE:LINE, they begin in {}", lines.join(", "));
        Ok(labs.remove(0))
    };
    Ok(read().map_err(|error: anyhow::Error| Usage(format!("{error:#}")))?)
}

/// Whether a lab was ended by a signal, or by a reader that closed the pipe.
fn is_an_end(error: &anyhow::Error) -> bool {
    error.is::<Interrupted>() || error.downcast_ref().is_some_and(OutError::reader_has_gone)
}

fn show_and_stay(
    backend: &dyn Backend,
    args: &cli::Up,
    scenarios: Option<&[Scenario]>,
    background: Option<&Path>,
    progress: &Progress,
) -> Result<()> {
    let stack = backend.stack();
    if let Part::Missing(reason) = &stack.alertmanager {
        progress.say(Mark::Skip, &format!("start Alertmanager: {reason}"));
    }
    if let Some(Some(alertmanager)) = stack.alertmanager.here()
        && let Delivery::Nobody(reason) = alertmanager.delivery()
    {
        progress.say(Mark::Skip, &format!("receive pages: {reason}"));
    }
    if let Part::Missing(reason) = &stack.grafana {
        progress.say(Mark::Skip, &format!("start Grafana: {reason}"));
    }
    out::line("")?;
    tables::links(&backend.links())?;
    progress.step("wait for the first scrape", |_| backend::await_samples(backend))?;
    let prometheus = &stack.prometheus;
    let seen = Nodes::query(prometheus)?;
    let live = Live::default();
    out::line("")?;
    let table = tables::nodes(&seen)?;
    if !live.is_drawn() && !table.is_empty() {
        out::line(&table)?;
    }
    if args.start.backend == cli::Backend::Local && stack.is_ours() && kind_is_possible() {
        progress.line("Docker, kind and kubectl are installed: `lab up --backend kind` runs the stack on a cluster");
    }
    let until = match args.stay {
        Some(stay) => format!("for {}", humantime::format_duration(stay)),
        None if background.is_some() => "until `lab down`".into(),
        None => "until Ctrl-C".into(),
    };
    let then = if args.start.keep { "the cluster is kept" } else { "everything is removed" };
    progress.line(&format!("run {} is up {until}; then {then}", backend.run().id()));
    if let Some(log) = background {
        let own = backend.run().dir().join(detach::LOG);
        fs::rename(log, &own).context("the process that started this lab has exited")?;
    }
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let live = &live;
        let watching = scope.spawn(move || {
            let goes_on = |pause| is_done.recv_timeout(pause) == Err(RecvTimeoutError::Timeout);
            watch(prometheus, live, seen.summary(), goes_on)
        });
        let stayed = stay(backend, args, scenarios, live);
        drop(done);
        let watched = watching.join().unwrap_or_else(|panic| resume_unwind(panic));
        match stayed {
            Err(error) if !is_an_end(&error) => Err(error),
            ended => watched.and(ended),
        }
    })
}

fn stay(backend: &dyn Backend, args: &cli::Up, scenarios: Option<&[Scenario]>, live: &Live) -> Result<()> {
    if let Some(scenarios) = scenarios {
        live.line("")?;
        scenario::run_on(scenarios, args.speed.of_scenario(), backend, &|text| live.line(text))?;
    }
    // A time too long for the clock has no end.
    let end = args.stay.and_then(|stay| Instant::now().checked_add(stay));
    while end.is_none_or(|end| Instant::now() < end) {
        backend.alive().context("a part of the lab exited")?;
        out::check_reader()?;
        let left = end.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
        poll::pause(left.min(LOOK))?;
    }
    Ok(())
}

/// Whether a cluster is possible with what is on this machine. The answer is only a hint: it waits for no slow Docker.
fn kind_is_possible() -> bool {
    let docker = Cmd::new("docker").args(["version", "--format", "{{.Server.Version}}"]).limit(Duration::from_secs(1));
    [Tool::Kind, Tool::Kubectl].iter().all(|tool| tools::find_present(*tool).is_ok()) && docker.run().is_ok()
}
