//! A play: a Prometheus of its own gets the samples of a test when they are due, and evaluates its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;

use super::offset::{Layout, name_without_offset};
use super::plan::{MARK, Plan};
use super::remote_write;
use super::speed_up::Scale;
use crate::backend::Ports;
use crate::backend::local::prometheus::{self, CONFIG};
use crate::client::http::Refused;
use crate::client::prometheus::{NotEvaluated, Prometheus, Rule, RuleGroup, Sample};
use crate::process::child::Process;
use crate::process::log::Line;
use crate::terminal::progress::Progress;
use crate::wait::poll::{self, Final};

/// The rule file.
pub const RULES: &str = "rules.yml";

/// How promtool looks back for a sample, and so Prometheus by default.
const LOOKBACK: Duration = Duration::from_secs(300);

/// How long before the first evaluation the rules are loaded, at most: this and never more than a step.
const LOADED_BEFORE: Duration = Duration::from_secs(1);

/// What was seen in a play.
#[derive(Debug, Default)]
pub struct Seen {
    /// The rules with their alerts, after each evaluation that decides an expectation.
    pub rules: BTreeMap<u32, Vec<Rule>>,
    /// What each query returned, or why it could not be evaluated.
    pub answers: Vec<Result<Vec<Sample>, String>>,
    /// What Prometheus says of the rules that it could not load or evaluate.
    pub failures: Vec<String>,
}

/// What makes a play decide nothing.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    #[error("the evaluations are not at the expected times")]
    Shifted,
    #[error("{0}")]
    Late(String),
}

/// A Prometheus that plays a test.
struct Stage<'a> {
    plan: &'a Plan<'a>,
    scale: Scale,
    step: Duration,
    start: SystemTime,
    process: Process,
    prometheus: Prometheus,
}

/// Plays a test in an empty directory.
pub fn play(plan: &Plan<'_>, speed: u32, layout: Layout, dir: &Path, program: &Path) -> Result<Seen> {
    let (process, prometheus) = start(plan, speed, dir, program)?;
    let step = plan.evaluation_interval / speed;
    // The rules hold the time of the start, so they are rewritten in between, which may take longer than before.
    let start = meeting(SystemTime::now() + LOADED_BEFORE.min(step) + 2 * plan.rewriting, plan.alignment(speed))?;
    let since = u64::try_from(start.duration_since(UNIX_EPOCH)?.as_millis())?;
    let stage = Stage { plan, scale: Scale { speed, start: Some(since) }, step, start, process, prometheus };
    let rules = plan.rules(stage.scale, &name_without_offset(layout, RULES, step))?;
    pause_until(start - (step * 9 / 10).min(LOADED_BEFORE))?;
    stage.write(0)?;
    fs::write(dir.join(RULES), rules.to_string())?;
    if let Err(error) = stage.prometheus.reload() {
        let refused = error.downcast::<Refused>()?;
        let said = stage.process.log_text().lines().rfind(|line| line.contains(RULES)).map(str::to_owned);
        return Ok(Seen { failures: vec![said.unwrap_or(refused.body)], ..Seen::default() });
    }
    stage.run()
}

fn start(plan: &Plan<'_>, speed: u32, dir: &Path, program: &Path) -> Result<(Process, Prometheus)> {
    fs::write(dir.join(CONFIG), plan.config(speed).to_string())?;
    let mut flags = vec![
        "--web.enable-lifecycle".to_owned(),
        "--web.enable-remote-write-receiver".to_owned(),
        format!("--query.lookback-delta={}ms", (LOOKBACK / speed).as_millis()),
    ];
    if let Some(url) = &plan.test.external_url {
        flags.extend([format!("--web.external-url={url}"), "--web.route-prefix=/".to_owned()]);
    }
    let (process, address) = prometheus::launch(program, dir, Ports::Any, &Progress::quiet(), &flags)?;
    let prometheus = Prometheus::new(format!("http://{address}"));
    process.wait_until("ready", Duration::from_secs(30), || prometheus.ready())?;
    Ok((process, prometheus))
}

impl Stage<'_> {
    fn run(&self) -> Result<Seen> {
        let mut seen = Seen::default();
        let last = self.plan.steps();
        let decisive: BTreeSet<u32> = self.plan.test.alerts.iter().map(|test| self.plan.step_of(test.at)).collect();
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
            if step == 1 {
                self.check_marks(0)?;
            }
        }
        self.process.wait_until("evaluates", Duration::from_secs(10), || self.is_over(last))?;
        seen.failures = failures(&self.process.log_text());
        self.check_marks(last)?;
        for test in &self.plan.test.queries {
            let query = self.scale.query(&test.expr)?;
            let answer = self.prometheus.query_at(&query, self.start + test.at / self.scale.speed);
            seen.answers.push(match answer {
                Err(error) if error.is::<NotEvaluated>() || error.is::<Final>() => Err(format!("{error:#}")),
                answer => Ok(answer?),
            });
        }
        Ok(seen)
    }

    /// When an evaluation is due.
    fn due(&self, step: u32) -> SystemTime {
        self.start + self.step * step
    }

    /// When the samples are written that an evaluation sees first.
    fn write_time(&self, step: u32) -> SystemTime {
        self.due(step) - self.step / 2
    }

    fn write(&self, step: u32) -> Result<()> {
        let samples = self.plan.samples(step, self.scale);
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

    fn is_over(&self, step: u32) -> Result<()> {
        let groups = self.prometheus.rules()?;
        let last = groups.first().and_then(RuleGroup::last_evaluation);
        ensure!(last.is_some_and(|began| began >= self.due(step)), "the last evaluation is not over");
        Ok(())
    }

    fn expect_before(&self, step: u32, what: &str) -> Result<()> {
        let late = SystemTime::now().duration_since(self.due(step)).unwrap_or_default();
        ensure!(late.is_zero(), Undecided::Late(format!("{what} {} ms late for evaluation {step}", late.as_millis())));
        self.process.alive()
    }

    /// Fails unless there was every evaluation until this one, each at its time.
    fn check_marks(&self, last: u32) -> Result<()> {
        let series = self.prometheus.range(&format!("{MARK}[1d]"))?;
        let times = series.iter().flat_map(|series| &series.values);
        let times: Vec<Duration> = times.map(|(seconds, _)| whole_milliseconds(*seconds)).collect();
        let due = |step: u32| Duration::from_millis(self.scale.start.unwrap_or_default()) + self.step * step;
        let first = times.first().copied().context(Undecided::Late("there was no evaluation".to_owned()))?;
        let is_on_grid = (first.abs_diff(due(0))).as_millis().is_multiple_of(self.step.as_millis());
        ensure!(is_on_grid, Undecided::Shifted);
        for step in 0..=last {
            let is_there = times.get(step as usize) == Some(&due(step));
            ensure!(is_there, Undecided::Late(format!("evaluation {step} of {last} was missed")));
        }
        Ok(())
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
