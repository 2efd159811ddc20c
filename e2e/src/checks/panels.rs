//! `panels-have-data`: every query of every panel gives samples, from Prometheus and, where there is one, through
//! Grafana.

use anyhow::{Result, bail};

use super::grafana::{datasource, shipped};
use super::{FIRST_SAMPLE, poll_stack};
use crate::backend::Backend;
use crate::checks::report::Outcome;
use crate::client::grafana::Grafana as Client;
use crate::stack::Grafana;
use crate::workspace::dashboard::Dashboard;
use crate::workspace::queries::{self, Query, Report};

/// No panel would be empty.
pub(super) fn panels_have_data(backend: &dyn Backend) -> Outcome {
    match look(backend) {
        Ok((observed, details)) => Outcome::Passed { observed, details },
        Err(error) => Outcome::Failed { observed: format!("{error:#}") },
    }
}

fn look(backend: &dyn Backend) -> Result<(String, Vec<String>)> {
    let stack = backend.stack();
    let dashboard = shipped()?;
    let report =
        ask(backend, "samples for every panel", &dashboard, |query| Ok(stack.prometheus.query(&query.expr)?.len()))?;
    let through = match &stack.grafana {
        Grafana::Here(base) => {
            let (client, datasource) = (Client::new(base), datasource(&dashboard)?);
            ask(backend, "samples for every panel through Grafana", &dashboard, |query| {
                client.samples(&datasource, query)
            })?;
            "from Prometheus and through Grafana"
        }
        Grafana::LeftOut | Grafana::Missing(_) => "from Prometheus; there is no Grafana to ask",
    };
    Ok((format!("all {} queries answered {through}", report.answers.len()), report.lines()))
}

/// Asks until no panel lacks samples: a rate needs two scrapes, and a recorded metric an evaluation.
fn ask(
    backend: &dyn Backend,
    what: &str,
    dashboard: &Dashboard,
    mut run: impl FnMut(&Query) -> Result<usize>,
) -> Result<Report> {
    poll_stack(backend, what, FIRST_SAMPLE, || {
        let report = queries::ask(dashboard, &mut run)?;
        let problems = report.problems();
        if problems.is_empty() { Ok(report) } else { bail!("{}", problems.join("; ")) }
    })
}
