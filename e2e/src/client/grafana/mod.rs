//! A client of Grafana's HTTP API, as far as the checks need it. It is the anonymous viewer that the lab's Grafana admits.

#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Access;
use super::http::{Refused, Server};
use crate::wait::poll::Final;
use crate::workspace::dashboard::Dashboard;
use crate::workspace::held::differences;
use crate::workspace::queries::Query;

/// A Grafana.
#[derive(Clone, Debug)]
pub struct Grafana(Server);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Datasource {
    uid: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    is_default: bool,
}

impl Grafana {
    /// The Grafana with that base address, such as `http://127.0.0.1:3000`.
    pub fn new(base: impl Into<String>) -> Self {
        Self(Server::new(base))
    }

    /// The Grafana at an address anywhere.
    pub fn elsewhere(base: &str, access: &Access) -> Self {
        Self(Server::elsewhere(base, access))
    }

    pub fn base(&self) -> &str {
        self.0.base()
    }

    /// The address of a dashboard's page.
    pub fn link(&self, dashboard: &str) -> String {
        format!("{}/d/{dashboard}", self.base())
    }

    /// Whether it runs and has its database. Gives its version.
    pub fn healthy(&self) -> Result<String> {
        let health = self.get("/api/health")?;
        ensure!(health["database"] == "ok", "{}/api/health: the database is not ok: {health}", self.base());
        Ok(health["version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Whether it reaches the data source of that uid. Gives what was seen of it.
    ///
    /// Before version 10 Grafana has no health check of a Prometheus data source and answers 404 (grafana/grafana
    /// pull request 66646); there a query through it is the check.
    pub fn datasource_healthy(&self, uid: &str) -> Result<String> {
        self.expect_datasource(uid)?;
        let path = format!("/api/datasources/uid/{uid}/health");
        match self.get(&path) {
            Ok(health) if health["status"] == "OK" => Ok(health["message"].as_str().unwrap_or_default().to_owned()),
            Ok(health) => bail!("{}{path}: not OK: {health}", self.base()),
            Err(error) if has_no_health_check(&error) => {
                let samples = self.samples(uid, "vector(1)", true)?;
                ensure!(samples == 1, "`vector(1)` through data source {uid} gives {samples} samples, not 1");
                Ok("answers a query; this Grafana has no health check for it, which came with version 10".to_owned())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the dashboard can be found, and what Grafana holds agrees with the file. Gives its path.
    pub fn dashboard_loaded(&self, file: &Dashboard) -> Result<String> {
        let list = self.get("/api/search?type=dash-db")?;
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(found) = list.iter().find(|entry| entry["uid"] == file.uid.as_str()) else {
            let there = list.iter().filter_map(|entry| entry["uid"].as_str());
            bail!("no dashboard has uid `{}`; Grafana has: {}", file.uid, names(there));
        };

        let path = format!("/api/dashboards/uid/{}", file.uid);
        let mut answer = self.get(&path)?;
        let held = serde_json::from_value(answer["dashboard"].take())
            .with_context(|| format!("{}{path}: not a classic dashboard", self.base()))?;
        let differences = differences(file, &held);
        ensure!(differences.is_empty(), "{}{path} differs from the file: {}", self.base(), differences.join("; "));
        Ok(found["url"].as_str().unwrap_or_default().to_owned())
    }

    /// How many samples a dashboard's query gives when it is asked through Grafana.
    pub fn answers(&self, datasource: &str, query: &Query) -> Result<usize> {
        self.samples(datasource, &query.expr, query.instant)
    }

    fn samples(&self, datasource: &str, expr: &str, instant: bool) -> Result<usize> {
        let query = json!({
            "refId": "A",
            "datasource": { "type": "prometheus", "uid": datasource },
            "expr": expr,
            "instant": instant,
            "range": !instant,
            "format": "time_series",
            "intervalMs": 5000,
            "maxDataPoints": 100,
        });
        let path = "/api/ds/query";
        let answer = self.0.post(path, &json!({ "from": "now-5m", "to": "now", "queries": [query] }))?;
        let answer: Value = answer.json().or_else(|error| self.explain(datasource, error))?;
        let result = &answer["results"]["A"];
        if let Some(error) = result["error"].as_str() {
            bail!("{}{path}: {error}", self.base());
        }
        let frames = result["frames"].as_array();
        let frames = frames.with_context(|| format!("{}{path}: no frames in {answer}", self.base()))?;
        // A frame holds columns; the first is time, and each is as long as the frame has samples.
        Ok(frames.iter().filter_map(|frame| frame["data"]["values"][0].as_array()).map(Vec::len).sum())
    }

    /// A query that is refused with 404 has no data source; which there are says more than the answer does.
    fn explain(&self, datasource: &str, error: anyhow::Error) -> Result<Value> {
        if error.downcast_ref().is_some_and(|refused: &Refused| refused.status == 404) {
            self.expect_datasource(datasource)?;
        }
        Err(error)
    }

    /// Fails for good where Grafana lists its data sources and this one is not among them: it reads what is provisioned
    /// before it answers anything.
    fn expect_datasource(&self, uid: &str) -> Result<()> {
        let Some(list) = self.datasources()? else { return Ok(()) };
        if list.iter().any(|datasource| datasource.uid == uid) {
            return Ok(());
        }
        let there = names(list.iter().map(|datasource| format!("{} ({})", datasource.uid, datasource.kind)));
        bail!(Final(format!("no data source has uid `{uid}`; Grafana has: {there}")))
    }

    /// The uid of the data source that a dashboard falls back to: the default one, or else the first that is a
    /// Prometheus. Nothing where Grafana does not show its list.
    pub fn default_prometheus(&self) -> Result<Option<String>> {
        let Some(mut list) = self.datasources()? else { return Ok(None) };
        list.retain(|datasource| datasource.kind == "prometheus");
        list.sort_by_key(|datasource| !datasource.is_default);
        Ok(Some(list.into_iter().next().context("Grafana has no data source of type prometheus")?.uid))
    }

    /// Nothing where Grafana does not show the list to whoever asks, as newer versions do not to a viewer.
    fn datasources(&self) -> Result<Option<Vec<Datasource>>> {
        let answer = self.0.get("/api/datasources", &[])?;
        Ok(if answer.status == 403 { None } else { Some(answer.json()?) })
    }

    fn get(&self, path: &str) -> Result<Value> {
        self.0.get(path, &[])?.json()
    }
}

/// The 404 of a route that is not there. A data source that is not there has another message.
fn has_no_health_check(error: &anyhow::Error) -> bool {
    let message = |body: &str| serde_json::from_str::<Value>(body).ok()?["message"].as_str().map(str::to_owned);
    error.downcast_ref().is_some_and(|refused: &Refused| {
        refused.status == 404 && message(&refused.body).as_deref() == Some("Not found")
    })
}

fn names(names: impl Iterator<Item = impl Into<String>>) -> String {
    let names: Vec<String> = names.map(Into::into).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
