//! `panels-have-data`: every query of every panel returns samples, from Prometheus and, where there is one, through
//! Grafana.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::grafana::Grafana;
use crate::client::prometheus::Target;
use crate::wait::poll::Final;
use crate::workspace::opening::Lookup;
use crate::workspace::queries::{Queries, Query, Report};
use crate::workspace::variables;

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
    let grafana = stack.grafana.here().map(|grafana| anyhow::Ok((grafana, subject.datasource()?))).transpose()?;
    // The lab's own Grafana has one data source, whatever the file names.
    let elsewhere = stack.grafana.here().filter(|_| !stack.own);
    let known = elsewhere.map(Grafana::datasource_names).transpose()?.flatten();
    let ask = |query: &Query| {
        if let (Some(known), Some(named)) = (&known, &query.datasource) {
            ensure!(known.contains(named), "Grafana has no data source `{named}`");
        }
        let found = stack.prometheus.query(&query.expr)?.len();
        if let Some((grafana, datasource)) = &grafana
            && found > 0
        {
            let shown = grafana.answers(datasource, query)?;
            ensure!(shown > 0 || !query.needs_samples, "no samples through Grafana, although Prometheus has some");
        }
        Ok(found)
    };
    let (queries, report) = subject.poll("samples for every panel", FIRST_SAMPLE, || {
        let queries = Queries::of(&subject.project.dashboards, interval, &find)?;
        let report = complete(queries.ask(ask))?;
        Ok((queries, report))
    })?;
    let through = match &grafana {
        Some(_) => "from Prometheus and through Grafana",
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
