//! Any unit test of rules, as promtool takes it, played on a real Prometheus: the samples of its series arrive by remote
//! write when they are due, every duration is divided by the speed, and what fires then is compared with what the test
//! expects, beside promtool's own verdict.
//!
//! All rules of a test are one group, evaluated at multiples of its interval, as promtool evaluates them at multiples of
//! `evaluation_interval`. What promtool calculates in time 0, 1m, 2m … happens in real time, so the results are the same.

pub mod file;
mod judge;
pub mod notation;
mod offset;
mod plan;
mod remote_write;
mod report;
mod run;
pub mod speed_up;

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use fs_err as fs;

use crate::process::command::Cmd;
use crate::run::Run;
use crate::wait::interrupt::{self, Interrupted};
use file::{TestFile, TestGroup};
use offset::Layout;
use plan::Plan;
pub use report::{Played, Report, Verdict};
use run::Undecided;

/// How long promtool may take for a group.
const LIMIT: Duration = Duration::from_secs(120);

/// How often a group is played until something is decided, each time at half the speed.
const PLAYS: usize = 4;

/// No group is played at a lower speed than this only because the machine is busy.
const LOWEST: u32 = 50;

/// What promtool says of a key of a test that it does not know.
const UNKNOWN: &str = "not found in type main.";

/// How often promtool is asked again where it disagrees.
const ASKED_AGAIN: usize = 8;

/// What is played, and by which programs.
pub struct Options {
    /// Files of unit tests.
    pub files: Vec<PathBuf>,
    pub prometheus: PathBuf,
    pub promtool: PathBuf,
    /// The speed; as high as the durations allow if there is none.
    pub speed: Option<u32>,
    /// How many plays run at once.
    pub jobs: usize,
}

/// One group to play.
struct Task<'a> {
    file: &'a TestFile,
    index: usize,
    group: &'a TestGroup,
}

/// What the plays share.
struct Player<'a> {
    options: &'a Options,
    layout: Mutex<Layout>,
    run: &'a Run,
}

/// What became of the plays of a group.
struct Outcome {
    live: Verdict,
    speed: Option<u32>,
    plays: usize,
    reasons: Vec<String>,
}

impl Outcome {
    fn refused(reason: String) -> Self {
        Self { live: Verdict::Refused, speed: None, plays: 0, reasons: vec![reason] }
    }
}

/// Has promtool judge a group; returns what it says of a failure, too.
pub fn promtool(program: &Path, run: &Run, file: &TestFile, index: usize) -> Result<(Verdict, String)> {
    let dir = tempfile::Builder::new().prefix("promtool-").tempdir_in(run.dir())?;
    let alone = dir.path().join("test.yml");
    fs::write(&alone, file.with_group(index)?)?;
    promtool_on(program, run, &alone)
}

fn promtool_on(program: &Path, run: &Run, file: &Path) -> Result<(Verdict, String)> {
    // Its own files, which it leaves when it is killed.
    let promtool = Cmd::new(program).env("TMPDIR", run.dir());
    match promtool.args(["test", "rules"]).arg(file).limit(LIMIT).run() {
        Ok(_) => Ok((Verdict::Pass, String::new())),
        Err(error) if error.code() == Some(1) => {
            let output = error.output();
            Ok((Verdict::Fail, format!("{}{}", output.stdout, output.stderr)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Plays every group of some files that is no scenario, and reports each when it is over.
pub fn run(options: &Options, run: &Run, report: &(dyn Fn(&Played) + Sync)) -> Result<Report> {
    let player = Player { options, layout: Mutex::new(Layout::Lengths), run };
    let (mut files, mut groups) = (Vec::new(), Vec::new());
    for path in &options.files {
        fs::metadata(path)?;
        match TestFile::read(path) {
            Ok(file) => files.push(file),
            Err(reason) => groups.push(player.refused(path, &reason)?),
        }
    }
    groups.iter().for_each(report);
    let mut tasks: Vec<Task<'_>> = files
        .iter()
        .flat_map(|file| file.groups.iter().enumerate().map(move |(index, group)| Task { file, index, group }))
        .filter(|task| !task.group.is_on_exporters())
        .collect();
    // The longest come first, so that none is left alone at the end.
    let length = |task: &Task<'_>| task.group.test.as_ref().map_or(Duration::ZERO, file::Test::end);
    tasks.sort_by_key(|task| std::cmp::Reverse(length(task)));
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = player.judge(task).inspect_err(|_| next.store(tasks.len(), Ordering::Relaxed))?;
            report(&one);
            done.push(one);
        }
        anyhow::Ok(done)
    };
    let done: Vec<Vec<Played>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.min(tasks.len())).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Result<_>>()
    })?;
    groups.extend(done.into_iter().flatten());
    groups.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    Ok(Report { groups })
}

impl Player<'_> {
    /// Has both judges look at a group.
    fn judge(&self, task: &Task<'_>) -> Result<Played> {
        let began = Instant::now();
        let (promtool, promtool_said) = self.promtool(task)?;
        let unknown = promtool_said.lines().find(|line| line.contains(UNKNOWN));
        let Outcome { live, speed, plays, mut reasons } = match unknown {
            Some(unknown) => Outcome::refused(format!("this promtool does not know the test: {}", unknown.trim())),
            None => self.play(task, promtool)?,
        };
        let disagrees = matches!(live, Verdict::Pass | Verdict::Fail) && live != promtool;
        if disagrees && self.changes_its_mind(task, promtool)? {
            reasons.push(
                "promtool says now pass, now fail: without `group_eval_order` it evaluates groups in a random order"
                    .to_owned(),
            );
        }
        let (file, line, name) = (task.file.path.display().to_string(), task.group.line, task.group.name.clone());
        let seconds = began.elapsed().as_secs_f64();
        Ok(Played { file, line, name, promtool, live, speed, plays, seconds, reasons, promtool_said })
    }

    /// A file that cannot be read.
    fn refused(&self, path: &Path, reason: &anyhow::Error) -> Result<Played> {
        let (promtool, promtool_said) = promtool_on(&self.options.promtool, self.run, path)?;
        Ok(Played {
            file: path.display().to_string(),
            line: 1,
            name: String::new(),
            promtool,
            live: Verdict::Refused,
            speed: None,
            plays: 0,
            seconds: 0.0,
            reasons: vec![format!("{reason:#}")],
            promtool_said,
        })
    }

    fn promtool(&self, task: &Task<'_>) -> Result<(Verdict, String)> {
        promtool(&self.options.promtool, self.run, task.file, task.index)
    }

    fn changes_its_mind(&self, task: &Task<'_>, verdict: Verdict) -> Result<bool> {
        for _ in 0..ASKED_AGAIN {
            if self.promtool(task)?.0 != verdict {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Plays a group until something is decided.
    fn play(&self, task: &Task<'_>, promtool: Verdict) -> Result<Outcome> {
        let plan = task.group.test.as_ref().map_err(Clone::clone).and_then(|test| {
            let plan = Plan::new(task.file, test).map_err(|reason| format!("{reason:#}"))?;
            let speed = match self.options.speed {
                Some(speed) => plan.fits(speed).then_some(speed),
                None => plan.speed(u32::MAX).map_err(|reason| format!("{reason:#}"))?,
            };
            let speed = speed.ok_or("its durations cannot be divided into whole milliseconds at this speed")?;
            Ok((plan, speed))
        });
        let (plan, mut speed) = match plan {
            Ok(plan) => plan,
            Err(reason) => return Ok(Outcome::refused(reason)),
        };
        let mut reasons = Vec::new();
        for plays in 1..=PLAYS {
            match self.play_once(&plan, speed) {
                Ok(seen) => {
                    let found = judge::differences(&plan, &seen);
                    let live = match (found.failed.is_empty(), found.rounded, promtool) {
                        (true, true, Verdict::Fail) => {
                            reasons =
                                vec!["a value differs in its last bits, which the speed may have changed".to_owned()];
                            Verdict::Inconclusive
                        }
                        (true, ..) => Verdict::Pass,
                        (false, ..) => Verdict::Fail,
                    };
                    if live != Verdict::Inconclusive {
                        reasons = found.failed;
                    }
                    return Ok(Outcome { live, speed: Some(speed), plays, reasons });
                }
                Err(error) if error.is::<Interrupted>() || interrupt::seen() => return Err(error),
                Err(error) => reasons.push(format!("at speed {speed}: {error:#}")),
            }
            if self.options.speed.is_none() && plays < PLAYS {
                speed = plan.speed((speed / 2).max(LOWEST)).ok().flatten().unwrap_or(speed).min(speed);
            }
        }
        Ok(Outcome { live: Verdict::Inconclusive, speed: Some(speed), plays: PLAYS, reasons })
    }

    /// Plays a group at a speed; once more where this build of Prometheus lays out its labels in another way.
    fn play_once(&self, plan: &Plan<'_>, speed: u32) -> Result<run::Seen> {
        let layout = || *self.layout.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |layout| {
            let dir = tempfile::Builder::new().prefix("play-").tempdir_in(self.run.dir())?;
            run::play(plan, speed, layout, dir.path(), &self.options.prometheus)
        };
        let first = layout();
        match run(first) {
            Err(error) if matches!(error.downcast_ref(), Some(Undecided::Shifted)) => {
                *self.layout.lock().unwrap_or_else(PoisonError::into_inner) = first.other();
                run(first.other())
            }
            seen => seen,
        }
    }
}
