//! `grafana-healthy`, `datasource-healthy` and `dashboard-loaded`: Grafana runs, reaches Prometheus, and holds the
//! dashboard that ships.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::poll_stack;
use crate::backend::Backend;
use crate::checks::report::Outcome;
use crate::client::grafana::Grafana as Client;
use crate::stack::Grafana;
use crate::workspace;
use crate::workspace::dashboard::{self, Dashboard};

/// Grafana is up before the checks begin; it may still be reading what is provisioned.
const LIMIT: Duration = Duration::from_secs(30);

/// It answers and has its database.
pub(super) fn grafana_healthy(backend: &dyn Backend) -> Outcome {
    with_grafana(backend, "a healthy Grafana", |client| Ok(format!("version {}", client.healthy()?)))
}

/// It reaches the Prometheus that is provisioned.
pub(super) fn datasource_healthy(backend: &dyn Backend) -> Outcome {
    with_grafana(backend, "a healthy data source", |client| client.datasource_healthy(&datasource(&shipped()?)?))
}

/// It holds the dashboard as it lies in the tree.
pub(super) fn dashboard_loaded(backend: &dyn Backend) -> Outcome {
    with_grafana(backend, "the dashboard", |client| {
        let file = shipped()?;
        let path = client.dashboard_loaded(&file)?;
        Ok(format!("`{}` at {path}, {} panels as in the file", file.title, file.panels().len()))
    })
}

/// The dashboard that ships.
pub(super) fn shipped() -> Result<Dashboard> {
    Dashboard::read(&workspace::root().join(dashboard::FILE))
}

/// The uid of the data source with which a dashboard opens.
pub(super) fn datasource(dashboard: &Dashboard) -> Result<String> {
    dashboard.values().remove("datasource").context("the dashboard has no variable `datasource`")
}

fn with_grafana(backend: &dyn Backend, what: &str, mut look: impl FnMut(&Client) -> Result<String>) -> Outcome {
    match &backend.stack().grafana {
        Grafana::LeftOut => Outcome::LeftOut,
        Grafana::Missing(reason) => Outcome::Skipped { reason: reason.clone() },
        Grafana::Here(base) => {
            let client = Client::new(base);
            Outcome::from(poll_stack(backend, what, LIMIT, || look(&client)))
        }
    }
}
