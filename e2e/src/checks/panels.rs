//! `panels-have-data`: every query of every panel returns samples, from Prometheus and, where there is one, through
//! Grafana.

use std::time::Duration;

use anyhow::{Result, anyhow};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::prometheus::Target;
use crate::wait::poll::Final;
use crate::workspace::opening::Lookup;
use crate::workspace::queries::{Queries, Query, Report};
use crate::workspace::variables;

/// Prometheus has answered all queries by then. Grafana asks for whole steps only, so that the newest may be missing.
const THROUGH_GRAFANA: Duration = Duration::from_secs(10);

/// No panel is empty.
pub(super) fn panels_have_data(subject: Subject<'_>) -> Outcome {
    if subject.project.dashboards.is_empty() {
        return super::NO_DASHBOARD;
    }
    run(subject).into()
}

fn run(subject: Subject<'_>) -> Result<(String, Vec<String>)> {
    let stack = subject.stack();
    let (interval, assumed) = scrape_interval(subject)?;
    let find = |lookup: &Lookup| stack.prometheus.find(lookup);
    let from_prometheus = |query: &Query| Ok(stack.prometheus.query(&query.expr)?.len());
    let (queries, report) = subject.poll("samples for every panel", FIRST_SAMPLE, || {
        let queries = Queries::of(&subject.project.dashboards, interval, &find)?;
        let report = complete(queries.ask(from_prometheus))?;
        Ok((queries, report))
    })?;
    let through = match stack.grafana.here() {
        Some(grafana) => {
            let datasource = subject.datasource()?;
            let through_grafana = |query: &Query| grafana.answers(&datasource, query);
            let attempt = || complete(queries.ask(through_grafana));
            subject.poll("samples for every panel through Grafana", THROUGH_GRAFANA, attempt)?;
            "from Prometheus and through Grafana"
        }
        None => "from Prometheus; there is no Grafana to ask",
    };
    let (count, omitted) = (report.answers.len(), &queries.omitted);
    Ok((format!("all {count} queries answered {through}{assumed}{omitted}"), report.lines()))
}

/// The scrape interval from which Grafana computes `$__rate_interval`. Where no Grafana can be asked it is that of the
/// targets, and the text says so.
pub(super) fn scrape_interval(subject: Subject<'_>) -> Result<(Duration, String)> {
    let stack = subject.stack();
    if let Some(grafana) = stack.grafana.here()
        && let Some(interval) = grafana.scrape_interval(&subject.datasource()?)?
    {
        return Ok((interval, String::new()));
    }
    let targets =
        subject.poll("the targets' scrape interval", FIRST_SAMPLE, || stack.prometheus.targets(&stack.job))?;
    let intervals = targets.iter().filter_map(Target::interval);
    let interval = intervals.max().unwrap_or(variables::SCRAPE_INTERVAL);
    let shown = humantime::format_duration(interval);
    Ok((interval, format!("; `$__rate_interval` computed from the targets' scrape interval of {shown}")))
}

/// Fails while a panel lacks samples: a rate needs two scrapes, and a recorded metric an evaluation.
fn complete(report: Report) -> Result<Report> {
    let problems = report.problems().join("; ");
    match report.answers.iter().any(|(_, answer)| answer.as_ref().is_err_and(anyhow::Error::is::<Final>)) {
        _ if problems.is_empty() => Ok(report),
        true => Err(Final(problems).into()),
        false => Err(anyhow!(problems)),
    }
}
