//! `grafana-healthy`, `datasource-healthy` and `dashboard-loaded`: Grafana is up, reaches Prometheus, and has the
//! dashboards.

use std::time::Duration;

use anyhow::Result;

use super::Subject;
use super::report::Outcome;
use crate::client::grafana::Grafana;
use crate::stack::Part;
use crate::terminal::out;

/// Grafana is up before the checks begin, and its data source was provisioned before it answered anything.
const LIMIT: Duration = Duration::from_secs(10);

/// Grafana looks for provisioned dashboards at its start, and then every 10 s.
const PROVISIONED: Duration = Duration::from_secs(12);

/// It is up, and its database is ok.
pub(super) fn grafana_healthy(subject: Subject<'_>) -> Outcome {
    with_grafana(subject, "a healthy Grafana", LIMIT, |grafana| Ok(format!("version {}", grafana.healthy()?)))
}

/// It reaches the provisioned Prometheus.
pub(super) fn datasource_healthy(subject: Subject<'_>) -> Outcome {
    with_grafana(subject, "a healthy data source", LIMIT, |grafana| grafana.datasource_healthy(&subject.datasource()?))
}

/// It has each dashboard as in its file.
pub(super) fn dashboard_loaded(subject: Subject<'_>) -> Outcome {
    if subject.project.dashboards.is_empty() {
        return super::NO_DASHBOARD;
    }
    with_grafana(subject, "the dashboard", PROVISIONED, |grafana| {
        let loaded = subject.project.dashboards.iter().map(|file| {
            let path = grafana.dashboard_loaded(file)?;
            let panels = out::count(file.panels().len(), "panel", "panels");
            Ok(format!("`{}` at {path}, {panels} as in the file", file.title))
        });
        Ok(loaded.collect::<Result<Vec<_>>>()?.join("; "))
    })
}

fn with_grafana(
    subject: Subject<'_>,
    what: &str,
    limit: Duration,
    mut attempt: impl FnMut(&Grafana) -> Result<String>,
) -> Outcome {
    match &subject.stack().grafana {
        Part::Omitted => Outcome::excluded(),
        Part::Missing(reason) => Outcome::Skipped { reason: reason.clone() },
        Part::Here(grafana) => Outcome::from(subject.poll(what, limit, || attempt(grafana))),
    }
}
