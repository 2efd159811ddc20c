//! Any unit test of rules, as promtool takes it, played on a real Prometheus: the samples of its series arrive by remote
//! write when they are due, every duration is divided by the speed, and what fires then is compared with what the test
//! expects, beside promtool's own verdict.
//!
//! In aligned mode all rules of a test are one group, evaluated at multiples of its interval, as promtool evaluates them at
//! multiples of `evaluation_interval`. What promtool calculates in time 0, 1m, 2m … happens in real time, so the results are the
//! same. In real mode each group is evaluated by itself, at several offsets, as in production.

mod chain;
pub mod file;
mod judge;
pub mod notation;
mod offset;
mod plan;
mod real;
pub mod remote_write;
mod report;
mod run;
mod schedule;
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
use file::{Place, TestFile, TestGroup};
use offset::Layout;
pub use plan::Mode;
use plan::Plan;
use real::Finding;
pub use report::{Played, Report, Verdict};
use run::{Seen, Undecided};
use schedule::Schedule;

/// How promtool looks back for a sample, and so Prometheus by default.
pub const LOOKBACK: Duration = Duration::from_secs(300);

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
    /// Files of unit tests, or groups of them.
    pub files: Vec<Place>,
    pub mode: Mode,
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
    findings: Vec<Finding>,
}

impl Outcome {
    fn refused(reason: String) -> Self {
        Self { live: Verdict::Refused, speed: None, plays: 0, reasons: vec![reason], findings: Vec::new() }
    }
}

/// What became of the plays of one schedule.
struct Attempts {
    /// What the last play saw, if it decides something.
    seen: Option<(Schedule, Seen)>,
    speed: u32,
    plays: usize,
    /// Why the others decide nothing.
    reasons: Vec<String>,
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
    for place in &options.files {
        let path = &place.path;
        match TestFile::read_at(place) {
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
    // In real mode a group is played at several offsets at once.
    let workers = match options.mode {
        Mode::Aligned => options.jobs,
        Mode::Real => options.jobs.div_ceil(schedule::OFFSETS),
    };
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
        let workers: Vec<_> = (0..workers.min(tasks.len())).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect::<Result<_>>()
    })?;
    groups.extend(done.into_iter().flatten());
    groups.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    Ok(Report { mode: options.mode, groups })
}

impl Player<'_> {
    /// Has both judges look at a group.
    fn judge(&self, task: &Task<'_>) -> Result<Played> {
        let began = Instant::now();
        let (promtool, promtool_said) = self.promtool(task)?;
        let unknown = promtool_said.lines().find(|line| line.contains(UNKNOWN));
        let Outcome { live, speed, plays, mut reasons, findings } = match unknown {
            Some(unknown) => Outcome::refused(format!("this promtool does not know the test: {}", unknown.trim())),
            None => self.play(task, promtool)?,
        };
        let why = match (self.options.mode, live) {
            (Mode::Real, Verdict::Pass) if promtool == Verdict::Fail => {
                Some("promtool also compares annotations, and evaluates rules that no expectation depends on")
            }
            (Mode::Aligned, Verdict::Pass | Verdict::Fail)
                if live != promtool && self.changes_its_mind(task, promtool)? =>
            {
                Some(
                    "promtool says now pass, now fail: without `group_eval_order` it evaluates groups in a random order",
                )
            }
            _ => None,
        };
        reasons.extend(why.map(str::to_owned));
        let unmatched = task.file.unmatched.iter().map(|pattern| pattern.display());
        reasons.extend(unmatched.map(|pattern| format!("rule_files: {pattern} matches no file")));
        let (file, line, name) = (task.file.path.display().to_string(), task.group.line, task.group.name.clone());
        let seconds = began.elapsed().as_secs_f64();
        Ok(Played { file, line, name, promtool, live, speed, plays, seconds, reasons, findings, promtool_said })
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
            findings: Vec::new(),
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

    /// Plays a group by each of its schedules until something is decided.
    fn play(&self, task: &Task<'_>, promtool: Verdict) -> Result<Outcome> {
        let plan = task.group.test.as_ref().map_err(Clone::clone).and_then(|test| {
            let plan = Plan::new(self.options.mode, task.file, test).map_err(|reason| format!("{reason:#}"))?;
            let speed = match self.options.speed {
                Some(speed) => plan.expect_fits(speed).map(|()| speed),
                None => plan.speed(u32::MAX),
            };
            let speed = speed.map_err(|reason| format!("{reason:#}"))?;
            Ok((plan, speed))
        });
        let (plan, speed) = match plan {
            Ok(plan) => plan,
            Err(reason) => return Ok(Outcome::refused(reason)),
        };
        let attempts: Vec<Attempts> = thread::scope(|scope| {
            let begin = |schedule| self.play_until_seen(&plan, speed, schedule);
            let schedules = 0..Schedule::of(&plan, speed).len();
            let plays: Vec<_> = schedules.map(|schedule| scope.spawn(move || begin(schedule))).collect();
            plays
                .into_iter()
                .map(|play| play.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<Result<_>>()
        })?;
        let speed = attempts.iter().map(|attempts| attempts.speed).min();
        let plays = attempts.iter().map(|attempts| attempts.plays).sum();
        let undecided = attempts.iter().find(|attempts| attempts.seen.is_none());
        if let Some(Attempts { reasons, .. }) = undecided {
            let reasons = reasons.clone();
            return Ok(Outcome { live: Verdict::Inconclusive, speed, plays, reasons, findings: Vec::new() });
        }
        let seen: Vec<(Schedule, Seen)> = attempts.into_iter().filter_map(|attempts| attempts.seen).collect();
        let (live, mut reasons, findings) = match self.options.mode {
            Mode::Aligned => {
                let (live, reasons) = aligned(&plan, &seen[0].1, promtool);
                (live, reasons, Vec::new())
            }
            Mode::Real => {
                let findings = real::findings(&plan, &seen);
                let failed = findings.iter().any(|finding| finding.kind.fails());
                let reasons = findings.iter().map(|finding| finding.text.clone()).collect();
                (if failed { Verdict::Fail } else { Verdict::Pass }, reasons, findings)
            }
        };
        reasons.extend(plan.undefined().into_iter().map(|alert| format!("no rule defines the alert {alert}")));
        Ok(Outcome { live, speed, plays, reasons, findings })
    }

    /// Plays a group by one of its schedules, each time at half the speed, until something is decided.
    fn play_until_seen(&self, plan: &Plan<'_>, mut speed: u32, schedule: usize) -> Result<Attempts> {
        let mut reasons = Vec::new();
        for plays in 1..=PLAYS {
            let schedule = Schedule::of(plan, speed).swap_remove(schedule);
            match self.play_once(plan, &schedule) {
                Ok(seen) => return Ok(Attempts { seen: Some((schedule, seen)), speed, plays, reasons }),
                Err(error) if error.is::<Interrupted>() || interrupt::seen() => return Err(error),
                Err(error) => reasons.push(format!("at speed {speed}: {error:#}")),
            }
            if self.options.speed.is_none() && plays < PLAYS {
                speed = plan.speed((speed / 2).max(LOWEST)).unwrap_or(speed).min(speed);
            }
        }
        Ok(Attempts { seen: None, speed, plays: PLAYS, reasons })
    }

    /// Plays a group; once more where this build of Prometheus lays out its labels in another way.
    fn play_once(&self, plan: &Plan<'_>, schedule: &Schedule) -> Result<Seen> {
        let layout = || *self.layout.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |layout| {
            let dir = tempfile::Builder::new().prefix("play-").tempdir_in(self.run.dir())?;
            run::play(plan, schedule, layout, dir.path(), &self.options.prometheus)
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

/// Compares a play in aligned mode with its test, and with what promtool says.
fn aligned(plan: &Plan<'_>, seen: &Seen, promtool: Verdict) -> (Verdict, Vec<String>) {
    let found = judge::differences(plan, seen);
    match (found.failed.is_empty(), found.rounded, promtool) {
        (true, true, Verdict::Fail) => {
            let reason = "a value differs in its last bits, which the speed may have changed".to_owned();
            (Verdict::Inconclusive, vec![reason])
        }
        (true, ..) => (Verdict::Pass, found.failed),
        (false, ..) => (Verdict::Fail, found.failed),
    }
}
