//! `exposition-lints`: what the targets expose is as Prometheus wants it, and they take little time for it.

use std::cell::LazyCell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::exporter::Exporter;
use crate::client::http::{Answer, Server};
use crate::client::prometheus::Target;
use crate::process::command::Cmd;
use crate::stack::Stack;
use crate::terminal::out;
use crate::terminal::progress::Progress;
use crate::tools::{self, Tool};

/// At most this many targets are asked.
const ASKED: usize = 10;

/// How long an exporter may take to answer at all; `exporter-ready` waits as long.
const ANSWER: Duration = Duration::from_secs(20);

/// The content types that Prometheus reads and promtool checks.
const CONTENT_TYPE: &str = "text/plain";

/// The other content types that Prometheus reads.
const OTHERS: [&str; 2] = ["application/openmetrics-text", "application/vnd.google.protobuf"];

/// promtool has nothing to say, the content type is right, and no scrape takes more than half of its timeout.
pub(super) fn exposition_lints(subject: Subject<'_>) -> Outcome {
    let find = || Progress::quiet().step("find promtool", |step| tools::find(Tool::Promtool, None, step));
    let promtool = LazyCell::new(find);
    judge(subject, &|text| match &*promtool {
        Ok(found) => lint(&found.path, text),
        Err(error) => bail!("{error:#}"),
    })
}

/// As [`exposition_lints`], by a linter; without one the check is skipped.
pub(super) fn judge(subject: Subject<'_>, lint: &dyn Fn(&str) -> Result<Vec<String>>) -> Outcome {
    let stack = subject.stack();
    if let Err(error) = stack.exporters.iter().take(ASKED).try_for_each(|exporter| answers(subject, exporter)) {
        return Outcome::Skipped { reason: out::plain(&format!("cannot reach the exporters: {error:#}")) };
    }
    let expositions = match subject.poll("an exposition", FIRST_SAMPLE, || expositions(stack)) {
        Ok(Ok(expositions)) => expositions,
        Ok(Err(reason)) => return Outcome::Skipped { reason: out::plain(&reason) },
        Err(error) => return Err::<String, _>(error).into(),
    };
    let problems = match expositions.iter().map(|exposition| exposition.problems(lint)).collect::<Result<Vec<_>>>() {
        Ok(problems) => problems.concat(),
        Err(error) => return Outcome::Skipped { reason: out::plain(&format!("{error:#}")) },
    };
    Outcome::from(problems_or_times(subject, &expositions, &problems))
}

/// Waits for any answer of an exporter. A Service may lead to it only after a while.
fn answers(subject: Subject<'_>, exporter: &Exporter) -> Result<()> {
    subject.poll("an exposition", ANSWER, || exporter.exposition()).map(drop)
}

fn problems_or_times(
    subject: Subject<'_>,
    expositions: &[Exposition],
    problems: &[String],
) -> Result<(String, Vec<String>)> {
    ensure!(problems.is_empty(), "{}:\n  {}", out::count(problems.len(), "problem", "problems"), problems.join("\n  "));
    let attempt = || slowest(subject.stack());
    let slowest = subject.poll("scrapes within half of their timeout", FIRST_SAMPLE, attempt)?;
    let count = out::count(expositions.len(), "exposition", "expositions");
    Ok((format!("{count} without a problem{slowest}"), expositions.iter().map(Exposition::line).collect()))
}

/// What a target exposes.
struct Exposition {
    url: String,
    content_type: String,
    body: String,
}

impl Exposition {
    fn problems(&self, lint: &dyn Fn(&str) -> Result<Vec<String>>) -> Result<Vec<String>> {
        let Self { url, content_type, body } = self;
        let mut problems = Vec::new();
        if self.media() != CONTENT_TYPE && !OTHERS.contains(&self.media()) {
            problems.push(format!("{url}: its content type is `{content_type}`; expected `text/plain; version=0.0.4`"));
        }
        if self.samples() == 0 {
            problems.push(format!("{url}: no sample in {}", out::count(body.len(), "byte", "bytes")));
        } else if !OTHERS.contains(&self.media()) {
            problems.extend(by_text(&lint(body)?).into_iter().map(|problem| format!("{url}: {problem}")));
        }
        Ok(problems)
    }

    /// Its content type without parameters.
    fn media(&self) -> &str {
        self.content_type.split(';').next().unwrap_or_default().trim()
    }

    fn samples(&self) -> usize {
        self.body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
    }

    fn line(&self) -> String {
        let (samples, bytes) = (self.samples(), self.body.len());
        let [samples, bytes] = [out::count(samples, "sample", "samples"), out::count(bytes, "byte", "bytes")];
        let media = Some(self.media()).filter(|media| OTHERS.contains(media));
        let rest = media.map(|media| format!("; not linted: promtool does not read {media}")).unwrap_or_default();
        format!("{}: {samples}, {bytes}{rest}", self.url)
    }
}

/// The expositions of the first targets, or why they cannot be asked from here. The exporters are asked where there is
/// another way to them than Prometheus'.
fn expositions(stack: &Stack) -> Result<Result<Vec<Exposition>, String>> {
    let by_exporter =
        stack.exporters.iter().map(|exporter| (format!("{}/metrics", exporter.base()), exporter.exposition()));
    let targets = if stack.exporters.is_empty() { stack.prometheus.targets(&stack.job)? } else { Vec::new() };
    let by_target = targets.into_iter().map(|target| {
        let answer = Server::new(&target.scrape_url).exposition("");
        (target.scrape_url, answer)
    });
    let mut expositions = Vec::new();
    for (url, answer) in by_exporter.chain(by_target).take(ASKED) {
        let answer = match answer {
            Err(error) => return Ok(Err(format!("cannot reach the targets from here: {error:#}"))),
            Ok(answer) if answer.status == 401 || answer.status == 403 => {
                return Ok(Err(format!("cannot read the targets from here: GET {url}: {}", answer.status)));
            }
            Ok(answer) => answer,
        };
        ensure!(answer.status.is_success(), "GET {url}: {}", answer.status);
        let Answer { content_type, body, .. } = answer;
        expositions.push(Exposition { url, content_type, body });
    }
    ensure!(!expositions.is_empty(), "Prometheus has no target in job `{}`", stack.job);
    Ok(Ok(expositions))
}

/// What promtool says of an exposition.
fn lint(promtool: &Path, text: &str) -> Result<Vec<String>> {
    match Cmd::new(promtool).args(["check", "metrics"]).stdin(text).run() {
        Ok(_) => Ok(Vec::new()),
        Err(error) if error.code().is_some_and(|code| code != 127) => {
            let said = format!("{}{}", error.output().stdout, error.output().stderr);
            Ok(said.lines().map(str::to_owned).collect())
        }
        Err(error) => Err(anyhow!(error)).context("promtool check metrics"),
    }
}

/// promtool's lines, such as `requests counter metrics should …`, with the metrics of which it says the same in one.
fn by_text(lines: &[String]) -> Vec<String> {
    let mut texts: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines {
        let (metric, text) = line.split_once(' ').unwrap_or((line, ""));
        match texts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, metrics)) => metrics.push(metric),
            None => texts.push((text, vec![metric])),
        }
    }
    texts.into_iter().map(|(text, metrics)| format!("{} {text}", out::names(&metrics))).collect()
}

/// The slowest scrape; fails while one takes more than half of its timeout.
fn slowest(stack: &Stack) -> Result<String> {
    let targets = stack.prometheus.targets(&stack.job)?;
    let timeout = |target: &Target| humantime::parse_duration(&target.scrape_timeout).ok().map(|it| it.as_secs_f64());
    let up = targets.iter().filter(|target| target.health == "up");
    let timed = up.filter_map(|target| Some((target, timeout(target)?)));
    let share = |(target, timeout): &(&Target, f64)| target.last_scrape_duration / timeout;
    let slowest = timed.max_by(|one, other| share(one).total_cmp(&share(other)));
    let Some((target, timeout)) = slowest else { return Ok(String::new()) };
    let (url, seconds) = (&target.scrape_url, target.last_scrape_duration);
    if seconds > timeout / 2.0 {
        bail!("the scrape of {url} takes {seconds:.3} s, more than half of its timeout of {timeout} s");
    }
    Ok(format!("; the slowest scrape takes {seconds:.3} s of {timeout} s"))
}
