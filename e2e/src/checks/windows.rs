//! `windows-fit`: the ranges of `rate` and its kin are long enough for the interval at which their series are really scraped,
//! and so is the interval from which Grafana computes `$__rate_interval`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use promql_parser::parser::{self, Expr, VectorSelector};

use super::panels;
use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::prometheus::{Prometheus, Sample, Target};
use crate::stack::Stack;
use crate::terminal::out;
use crate::workspace::promql::{bare, parts};
use crate::workspace::queries::Queries;
use crate::workspace::rules::RuleFile;

/// The functions that need two samples.
const KIN: [&str; 11] = [
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "deriv",
    "predict_linear",
    "holt_winters",
    "double_exponential_smoothing",
    "changes",
    "resets",
];

/// How many samples a range should hold, so that one failed scrape leaves no gap.
const ADVISED: u32 = 4;

/// No range is too short.
pub(super) fn windows_fit(subject: Subject<'_>) -> Outcome {
    if subject.project.rules.is_empty() && subject.project.dashboards.is_empty() {
        return Outcome::Omitted { reason: "no rules and no dashboard; name some with `--rules` and `--dashboards`" };
    }
    run(subject).unwrap_or_else(|error| Err::<String, _>(error).into())
}

fn run(subject: Subject<'_>) -> Result<Outcome> {
    let windows = subject.poll("the queries of rules and dashboards", FIRST_SAMPLE, || windows(subject))?;
    let mut unknown = 0;
    let known = subject.poll("a series of the ranges", FIRST_SAMPLE, || {
        unknown = 0;
        let judged = judge(subject, &windows)?;
        unknown = judged.unknown;
        let is_known = windows.is_empty() || unknown < windows.len() || !judged.findings.is_empty();
        ensure!(is_known, "no target has the series of {}", ranges(unknown));
        Ok(judged)
    });
    let Judged { findings, notes, .. } = match known {
        Ok(judged) => judged,
        // That they are missing is for `rules-find-series` and `panels-have-data` to say.
        Err(_) if unknown > 0 => {
            return Ok(Outcome::Skipped { reason: format!("no target has the series of {}", ranges(unknown)) });
        }
        Err(error) => return Err(error),
    };
    if !findings.is_empty() {
        let count = out::count(findings.len(), "problem", "problems");
        bail!("{count}:\n  {}", findings.join("\n  "));
    }
    if windows.is_empty() {
        return Ok(Outcome::Omitted { reason: "no range of `rate` or its kin in the rules and dashboards" });
    }
    let judged = out::count(windows.len() - unknown, "range holds", "ranges hold");
    let rest =
        if unknown == 0 { String::new() } else { format!("; {unknown} not checked, whose series no target has") };
    Ok(Outcome::from(Ok((format!("{judged} two samples or more{rest}"), notes))))
}

/// What is wrong, what could be better, and of how many ranges no target has the series.
struct Judged {
    findings: Vec<String>,
    notes: Vec<String>,
    unknown: usize,
}

fn judge(subject: Subject<'_>, windows: &[Window]) -> Result<Judged> {
    let stack = subject.stack();
    let intervals = Intervals::ask(stack)?;
    let findings = assumed_interval(subject, &intervals)?.into_iter().collect();
    let mut judged = Judged { findings, notes: Vec::new(), unknown: 0 };
    for window in windows {
        match intervals.of(&window.selector, &stack.prometheus)? {
            Some(interval) if window.range < 2 * interval => judged.findings.push(window.finding(interval)),
            Some(interval) if window.range < ADVISED * interval => {
                judged.notes.push(format!("note: {}", window.finding(interval)));
            }
            Some(_) => {}
            None => judged.unknown += 1,
        }
    }
    Ok(judged)
}

fn ranges(count: usize) -> String {
    out::count(count, "range", "ranges")
}

/// The range of a function.
struct Window {
    owner: String,
    /// The call as it stands in the query.
    call: String,
    selector: VectorSelector,
    range: Duration,
}

impl Window {
    fn finding(&self, interval: Duration) -> String {
        let Self { owner, call, range, .. } = self;
        let [range, interval, advised] =
            [*range, interval, ADVISED * interval].map(|it| humantime::format_duration(it).to_string());
        format!("`{call}` in {owner}: {range} with a sample every {interval}; use {advised} or more")
    }
}

fn windows(subject: Subject<'_>) -> Result<Vec<Window>> {
    let stack = subject.stack();
    let rules = subject.project.rules.iter().flat_map(RuleFile::rules);
    let mut exprs: Vec<(String, String)> =
        rules.map(|rule| (format!("rule `{}`", rule.name()), rule.expr.clone())).collect();
    if !subject.project.dashboards.is_empty() {
        let (interval, _) = panels::scrape_interval(subject)?;
        let queries = Queries::of(&subject.project.dashboards, interval, &|lookup| stack.prometheus.find(lookup))?;
        exprs.extend(queries.list.into_iter().map(|query| (query.to_string(), query.expr)));
    }
    Ok(exprs.iter().flat_map(|(owner, expr)| of_query(owner, expr)).collect())
}

/// The ranges in a query; none in one that cannot be read here.
fn of_query(owner: &str, query: &str) -> Vec<Window> {
    let Ok(expr) = parser::parse(query) else { return Vec::new() };
    let calls = parts(&expr).into_iter().filter_map(|part| {
        let Expr::Call(call) = part else { return None };
        let ranges = call.args.args.iter().filter_map(|argument| match bare(argument) {
            Expr::MatrixSelector(matrix) if KIN.contains(&call.func.name) => Some(Window {
                owner: owner.to_owned(),
                call: call.to_string(),
                selector: VectorSelector { offset: None, at: None, ..matrix.vs.clone() },
                range: matrix.range,
            }),
            _ => None,
        });
        Some(ranges.collect::<Vec<_>>())
    });
    calls.flatten().collect()
}

/// How often series get samples.
struct Intervals {
    /// By the labels `job` and `instance`.
    scraped: BTreeMap<(String, String), Duration>,
    /// By the names that rules record.
    recorded: BTreeMap<String, Duration>,
    /// The longest of the checked job.
    of_job: Option<Duration>,
}

impl Intervals {
    fn ask(stack: &Stack) -> Result<Self> {
        let targets = stack.prometheus.all_targets()?;
        let labels = |target: &Target| ["job", "instance"].map(|label| target.label(label).to_owned()).into();
        let groups = stack.prometheus.rules()?;
        let recorded = groups.into_iter().flat_map(|group| {
            let interval = Duration::try_from_secs_f64(group.interval).unwrap_or_default();
            group.rules.into_iter().map(move |rule| (rule.name, interval))
        });
        Ok(Self {
            scraped: targets.iter().filter_map(|target| Some((labels(target), target.interval()?))).collect(),
            recorded: recorded.collect(),
            of_job: targets.iter().filter(|it| it.label("job") == stack.job).filter_map(Target::interval).max(),
        })
    }

    /// The longest interval between the samples of the series that a selector finds; `None` where no target has them.
    fn of(&self, selector: &VectorSelector, prometheus: &Prometheus) -> Result<Option<Duration>> {
        let name = selector.name.as_deref().unwrap_or_default();
        if let Some(interval) = self.recorded.get(name) {
            return Ok(Some(*interval));
        }
        let series = prometheus.query(&format!("group by (job, instance) ({selector})"))?;
        let key = |label| move |sample: &Sample| sample.label(label).to_owned();
        let (job, instance) = (key("job"), key("instance"));
        Ok(series.iter().filter_map(|sample| self.scraped.get(&(job(sample), instance(sample))).copied()).max())
    }
}

/// What is wrong with the interval that Grafana assumes; nothing where there is no Grafana that says it.
fn assumed_interval(subject: Subject<'_>, intervals: &Intervals) -> Result<Option<String>> {
    let (Some(grafana), Some(real)) = (subject.stack().grafana.here(), intervals.of_job) else { return Ok(None) };
    let datasource = subject.datasource()?;
    let assumed = grafana.scrape_interval(&datasource)?;
    Ok(assumed.filter(|assumed| *assumed < real).map(|assumed| {
        let [assumed, real] = [assumed, real].map(|it| humantime::format_duration(it).to_string());
        format!(
            "data source `{datasource}` assumes a scrape interval of {assumed}, and job `{}` is scraped every {real}: set its \
             scrape interval (`timeInterval`) to {real}",
            subject.stack().job
        )
    }))
}
