//! A play: a Prometheus of its own gets the samples of a test when they are due, and evaluates its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;

use super::LOOKBACK;
use super::offset::{self, Layout};
use super::plan::{MARK, MARKED, Mode, Plan};
use super::remote_write;
use super::schedule::Schedule;
use super::speed_up::Scale;
use crate::backend::Ports;
use crate::backend::local::prometheus::{self, CONFIG};
use crate::client::http::Refused;
use crate::client::prometheus::{Labels, NotEvaluated, Prometheus, Rule, RuleGroup, Sample};
use crate::process::child::Process;
use crate::process::log::Line;
use crate::terminal::progress::Progress;
use crate::wait::poll::{self, Final};

/// The rule file.
pub const RULES: &str = "rules.yml";

/// How long before the first evaluation the rules are loaded, at most.
const LOADED_BEFORE: Duration = Duration::from_secs(1);

/// What was seen in a play.
#[derive(Debug, Default)]
pub struct Seen {
    /// The rules with their alerts, after each evaluation that decides an expectation: in aligned mode.
    pub rules: BTreeMap<u32, Vec<Rule>>,
    /// The start of the play, since 1970.
    pub start: Duration,
    /// The alerts that fired, and the times of the samples that say so, since 1970: in real mode.
    pub firing: Vec<(Labels, BTreeSet<Duration>)>,
    /// What each query returned at the times that decide it, or why it could not be evaluated.
    pub answers: Vec<Vec<(Duration, Answer)>>,
    /// What Prometheus says of the rules that it could not load or evaluate.
    pub failures: Vec<String>,
}

/// What a query returned, or why it could not be evaluated.
pub type Answer = Result<Vec<Sample>, String>;

/// What makes a play decide nothing.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    #[error("the evaluations are not at the expected times")]
    Shifted,
    #[error("{0}")]
    Late(String),
}

/// A Prometheus that plays a test.
struct Play<'a> {
    plan: &'a Plan<'a>,
    schedule: &'a Schedule,
    /// The names of the groups.
    names: Vec<String>,
    scale: Scale,
    /// The time between two writes.
    step: Duration,
    start: SystemTime,
    process: Process,
    prometheus: Prometheus,
}

/// Plays a test in an empty directory.
pub fn play(plan: &Plan<'_>, schedule: &Schedule, layout: Layout, dir: &Path, program: &Path) -> Result<Seen> {
    let speed = schedule.speed;
    let (process, prometheus) = start(plan, speed, dir, program)?;
    let step = plan.evaluation_interval / speed;
    let names = names(plan, schedule, layout);
    // The rules are loaded as soon as none of them is evaluated before the start.
    let loaded_before = (schedule.lead() * 9 / 10).min(LOADED_BEFORE);
    // They hold the time of the start, so they are rewritten in between, which may take longer than before.
    let start = meeting(SystemTime::now() + loaded_before + 3 * plan.rewriting, plan.alignment(speed))?;
    let since = u64::try_from(start.duration_since(UNIX_EPOCH)?.as_millis())?;
    let scale = Scale { speed, start: Some(since) };
    let rules = plan.rules(scale, &names)?;
    let ready = Play { plan, schedule, names, scale, step, start, process, prometheus };
    ready.write(0)?;
    fs::write(dir.join(RULES), rules.to_string())?;
    pause_until(start - loaded_before)?;
    if let Err(error) = ready.prometheus.reload() {
        let refused = error.downcast::<Refused>()?;
        let said = ready.process.log_text().lines().rfind(|line| line.contains(RULES)).map(str::to_owned);
        return Ok(Seen { failures: vec![said.unwrap_or(refused.body)], ..Seen::default() });
    }
    ready.run()
}

/// Names for the groups by which they are evaluated as scheduled.
fn names(plan: &Plan<'_>, schedule: &Schedule, layout: Layout) -> Vec<String> {
    let groups = plan.groups.iter().enumerate();
    let offsets = groups.map(|(place, group)| (schedule.first(place), group.interval / schedule.speed));
    offset::names(layout, RULES, offsets)
}

fn start(plan: &Plan<'_>, speed: u32, dir: &Path, program: &Path) -> Result<(Process, Prometheus)> {
    fs::write(dir.join(CONFIG), plan.config(speed).to_string())?;
    let mut flags = prometheus::receiving(LOOKBACK / speed);
    flags.push("--web.enable-lifecycle".to_owned());
    if let Some(url) = &plan.test.external_url {
        flags.extend([format!("--web.external-url={url}"), "--web.route-prefix=/".to_owned()]);
    }
    let (process, address) = prometheus::launch(program, dir, Ports::Any, &Progress::quiet(), &flags)?;
    let prometheus = Prometheus::new(format!("http://{address}"));
    process.wait_until("ready", Duration::from_secs(30), || prometheus.ready())?;
    Ok((process, prometheus))
}

impl Play<'_> {
    fn run(&self) -> Result<Seen> {
        let mut seen = Seen { start: self.since(), ..Seen::default() };
        let last = self.plan.steps();
        let decisive = match self.plan.mode {
            Mode::Aligned => self.plan.test.alerts.iter().map(|test| self.plan.step_of(test.at)).collect(),
            Mode::Real => BTreeSet::new(),
        };
        let mut is_begun = false;
        for step in 0..=last {
            let mut is_written = step == last;
            let mut is_seen = !decisive.contains(&step);
            while !is_written || !is_seen {
                if !is_written && (is_seen || SystemTime::now() >= self.write_time(step + 1)) {
                    pause_until(self.write_time(step + 1))?;
                    self.write(step + 1)?;
                    is_written = true;
                }
                if !is_seen {
                    is_seen = self.look(step, &mut seen)?;
                }
            }
            if !is_begun && self.step * step > self.schedule.begun() {
                is_begun = true;
                self.check_marks(self.schedule.begun())?;
            }
        }
        let end = self.plan.end / self.scale.speed;
        pause_until(self.start + end)?;
        self.process.wait_until("evaluates", Duration::from_secs(10), || self.is_over(end))?;
        seen.failures = failures(&self.process.log_text());
        self.check_marks(end)?;
        self.ask(&mut seen)?;
        Ok(seen)
    }

    /// Reads the alerts and the results of the queries from what is stored.
    fn ask(&self, seen: &mut Seen) -> Result<()> {
        for (place, test) in self.plan.test.queries.iter().enumerate() {
            let query = self.scale.query(&test.expr)?;
            let times = self.schedule.decisive(&self.plan.chains.queries[place], test.at);
            let answers = times.into_iter().map(|time| {
                let answer = match self.prometheus.query_at(&query, self.start + time) {
                    Err(error) if error.is::<NotEvaluated>() || error.is::<Final>() => Err(format!("{error:#}")),
                    answer => Ok(answer?),
                };
                Ok((time, answer))
            });
            seen.answers.push(answers.collect::<Result<_>>()?);
        }
        if self.plan.mode == Mode::Real && !self.plan.test.alerts.is_empty() {
            for mut series in self.prometheus.range("ALERTS{alertstate=\"firing\"}[1d]")? {
                series.labels.retain(|name, _| !["__name__", "alertstate"].contains(&name.as_str()));
                let times = series.values.iter().map(|(seconds, _)| whole_milliseconds(*seconds));
                seen.firing.push((series.labels, times.collect()));
            }
        }
        Ok(())
    }

    /// When samples are written, for the `step`th time.
    fn write_time(&self, step: u32) -> SystemTime {
        self.due(step) - self.step / 2
    }

    fn due(&self, step: u32) -> SystemTime {
        self.start + self.step * step
    }

    /// Writes the samples that an evaluation at this step sees first; in real mode those that one before the next sees.
    fn write(&self, step: u32) -> Result<()> {
        let until = |step: u32| {
            let ahead = u32::from(self.plan.mode == Mode::Real);
            self.plan.evaluation_interval * (step + ahead)
        };
        let samples = self.plan.samples(step.checked_sub(1).map(until), until(step), self.scale);
        if !samples.is_empty() {
            self.prometheus.write(&remote_write::body(&samples)?)?;
        }
        self.expect_before(step, "samples arrived")
    }

    /// Notes the alerts after an evaluation, once it is over and before the next is due.
    fn look(&self, step: u32, seen: &mut Seen) -> Result<bool> {
        pause_until(self.due(step) + Duration::from_millis(5))?;
        let groups = self.prometheus.rules()?;
        self.expect_before(step + 1, "the alerts were seen")?;
        let group = groups.into_iter().next().context("no group of rules")?;
        let is_over = group.last_evaluation().is_some_and(|began| began >= self.due(step));
        if is_over {
            seen.rules.insert(step, group.rules);
        } else {
            poll::pause(Duration::from_millis(5))?;
        }
        Ok(is_over)
    }

    fn is_over(&self, end: Duration) -> Result<()> {
        let groups = self.prometheus.rules()?;
        for (place, name) in self.names.iter().enumerate() {
            let newest = groups.iter().find(|group| group.name == *name).and_then(RuleGroup::last_evaluation);
            let due = self.schedule.last(place, end).map(|last| self.start + last);
            ensure!(newest >= due, "the last evaluation is not over");
        }
        Ok(())
    }

    fn expect_before(&self, step: u32, what: &str) -> Result<()> {
        let late = SystemTime::now().duration_since(self.due(step)).unwrap_or_default();
        ensure!(late.is_zero(), Undecided::Late(format!("{what} {} ms late for evaluation {step}", late.as_millis())));
        self.process.alive()
    }

    /// Fails unless there was every evaluation until a time, each at its time.
    fn check_marks(&self, end: Duration) -> Result<()> {
        let series = self.prometheus.range(&format!("{MARK}[1d]"))?;
        let mut late = None;
        for (place, group) in self.plan.groups.iter().enumerate() {
            let of_group = series.iter().filter(|series| series.label(MARKED) == place.to_string());
            let times = of_group.flat_map(|series| &series.values);
            let times: Vec<Duration> = times.map(|(seconds, _)| whole_milliseconds(*seconds)).collect();
            let (interval, query_offset) = (group.interval / self.scale.speed, group.query_offset / self.scale.speed);
            let begin = self.since().saturating_sub(query_offset);
            let is_on_grid = |time: &Duration| {
                time.abs_diff(begin + self.schedule.first(place)).as_millis().is_multiple_of(interval.as_millis())
            };
            ensure!(times.first().is_none_or(is_on_grid), Undecided::Shifted);
            let due: Vec<Duration> = self.schedule.until(place, end).map(|time| begin + time).collect();
            let missed = (0..due.len()).find(|number| times.get(*number) != due.get(*number));
            late = late.or(missed.map(|number| format!("evaluation {number} of {} was missed", due.len())));
        }
        late.map_or(Ok(()), |late| Err(Undecided::Late(late).into()))
    }

    /// The start since 1970.
    fn since(&self) -> Duration {
        Duration::from_millis(self.scale.start.unwrap_or_default())
    }
}

fn whole_milliseconds(seconds: f64) -> Duration {
    let micros = Duration::from_secs_f64(seconds).as_micros() + 500;
    Duration::from_millis(u64::try_from(micros / 1000).unwrap_or(u64::MAX))
}

/// What Prometheus logged of rules that it could not evaluate.
fn failures(log: &str) -> Vec<String> {
    let failed = log.lines().filter(|line| Line(line).message() == "Evaluating rule failed");
    let errors = failed.filter_map(|line| Line(line).field("err"));
    errors.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The first time after another that is a multiple of a duration since 1970.
fn meeting(after: SystemTime, every: Duration) -> Result<SystemTime> {
    let (since, every) = (after.duration_since(UNIX_EPOCH)?.as_millis(), every.as_millis());
    let next = u64::try_from((since / every + 1) * every)?;
    Ok(UNIX_EPOCH + Duration::from_millis(next))
}

fn pause_until(time: SystemTime) -> Result<()> {
    poll::pause(time.duration_since(SystemTime::now()).unwrap_or_default())
}
