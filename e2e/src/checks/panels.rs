//! `panels-have-data`: every query of every panel gives samples, from Prometheus and, where there is one, through
//! Grafana.

use anyhow::{Result, anyhow};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::wait::poll::Final;
use crate::workspace::queries::{self, Query, Report};

/// No panel would be empty.
pub(super) fn panels_have_data(subject: Subject<'_>) -> Outcome {
    match look(subject) {
        Ok((observed, details)) => Outcome::Passed { observed, details },
        Err(error) => Outcome::Failed { observed: format!("{error:#}") },
    }
}

fn look(subject: Subject<'_>) -> Result<(String, Vec<String>)> {
    let stack = subject.stack();
    let report = ask(subject, "samples for every panel", |query| Ok(stack.prometheus.query(&query.expr)?.len()))?;
    let through = match stack.grafana.here() {
        Some(grafana) => {
            let datasource = subject.datasource()?;
            ask(subject, "samples for every panel through Grafana", |query| grafana.answers(&datasource, query))?;
            "from Prometheus and through Grafana"
        }
        None => "from Prometheus; there is no Grafana to ask",
    };
    Ok((format!("all {} queries answered {through}", report.answers.len()), report.lines()))
}

/// Asks until no panel lacks samples: a rate needs two scrapes, and a recorded metric an evaluation.
fn ask(subject: Subject<'_>, what: &str, mut run: impl FnMut(&Query) -> Result<usize>) -> Result<Report> {
    subject.poll(what, FIRST_SAMPLE, || {
        let report = queries::ask(&subject.shipped.dashboards, &mut run)?;
        let problems = report.problems().join("; ");
        match report.answers.iter().any(|(_, answer)| answer.as_ref().is_err_and(anyhow::Error::is::<Final>)) {
            _ if problems.is_empty() => Ok(report),
            true => Err(Final(problems).into()),
            false => Err(anyhow!(problems)),
        }
    })
}
