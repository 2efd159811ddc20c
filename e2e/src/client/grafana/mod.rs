//! A client of Grafana's HTTP API, as far as the checks need it. It is the anonymous viewer that the lab's Grafana admits.

#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Access;
use super::http::{Refused, Server};
use crate::terminal::out;
use crate::wait::poll::Final;
use crate::workspace::dashboard::{Dashboard, PROMETHEUS};
use crate::workspace::held::differences;
use crate::workspace::queries::Query;
use crate::workspace::variables;

/// A Grafana.
#[derive(Clone, Debug)]
pub struct Grafana(Server);

/// A data source, as Grafana lists it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Datasource {
    uid: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    is_default: bool,
    #[serde(default)]
    json_data: DatasourceOptions,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DatasourceOptions {
    time_interval: String,
}

/// A dashboard that Grafana holds.
struct Held {
    /// The path of the request.
    asked: String,
    /// Its model, in the classic schema.
    model: Value,
    /// The path of its page.
    page: String,
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

    /// Whether it is up and its database is ok. Returns its version.
    pub fn healthy(&self) -> Result<String> {
        let health = self.get("/api/health")?;
        ensure!(health["database"] == "ok", "{}/api/health: the database is not ok: {health}", self.base());
        Ok(health["version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Whether it reaches the data source of that uid. Returns what was seen of it.
    ///
    /// Before version 10 Grafana has no health check of a Prometheus data source (grafana/grafana pull request 66646);
    /// there a query is the check.
    pub fn datasource_healthy(&self, uid: &str) -> Result<String> {
        self.expect_prometheus(uid)?;
        let version = self.healthy()?;
        if major(&version) < 10 {
            let samples = self.samples(uid, "vector(1)", true)?;
            ensure!(samples == 1, "`vector(1)` through data source {uid} returns {samples} samples; expected 1");
            return Ok(format!("answers a query; version {version} has no health check for it"));
        }
        let path = format!("/api/datasources/uid/{uid}/health");
        let health = self.get(&path).map_err(definite)?;
        if health["status"] != "OK" {
            bail!(Final(format!("{}{path}: not OK: {health}", self.base())));
        }
        Ok(health["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Whether Grafana has the dashboard, as in its file. Returns its path.
    pub fn dashboard_loaded(&self, file: &Dashboard) -> Result<String> {
        let uid = if file.uid.is_empty() { self.uid_of(&file.title)? } else { file.uid.clone() };
        let held = self.resource(&uid).map_or_else(|| self.legacy_dashboard(&uid), Ok)?;
        let asked = format!("{}{}", self.base(), held.asked);
        let model = serde_json::from_value(held.model).with_context(|| format!("{asked}: not a classic dashboard"))?;
        let differences = differences(file, &model);
        ensure!(differences.is_empty(), "{asked} differs from the file: {}", differences.join("; "));
        Ok(held.page)
    }

    /// The dashboard as a resource; `None` where it is not served: before version 13, which would log the unknown route as
    /// an error, to a viewer who may not read it, or of another organization than the first.
    fn resource(&self, uid: &str) -> Option<Held> {
        if major(&self.healthy().ok()?) < 13 {
            return None;
        }
        let asked = format!("/apis/dashboard.grafana.app/v1/namespaces/default/dashboards/{uid}");
        let mut resource = self.get(&asked).ok()?;
        let mut model = resource["spec"].take();
        // The uid has become the resource's name.
        model.as_object_mut()?.insert("uid".into(), resource["metadata"]["name"].take());
        Some(Held { asked, model, page: format!("/d/{uid}") })
    }

    /// The dashboard by the request that is deprecated since version 13.
    fn legacy_dashboard(&self, uid: &str) -> Result<Held> {
        let asked = format!("/api/dashboards/uid/{uid}");
        let answer = self.0.get(&asked, &[])?;
        if answer.status == 404 {
            bail!("no dashboard has uid `{uid}`; Grafana has: {}", out::names(&fields(&self.dashboards()?, "uid")));
        }
        let mut answer: Value = answer.json()?;
        let page = answer["meta"]["url"].as_str().unwrap_or_default().to_owned();
        Ok(Held { asked, model: answer["dashboard"].take(), page })
    }

    /// The uid that Grafana gave to a dashboard that brings none.
    fn uid_of(&self, title: &str) -> Result<String> {
        let list = self.dashboards()?;
        let found = list.iter().find(|entry| entry["title"] == title).and_then(|entry| entry["uid"].as_str());
        let there = || out::names(&fields(&list, "title"));
        found.map(str::to_owned).with_context(|| format!("no dashboard is titled `{title}`; Grafana has: {}", there()))
    }

    fn dashboards(&self) -> Result<Vec<Value>> {
        self.0.get("/api/search?type=dash-db", &[])?.json()
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
            let error = format!("{}{path}: {error}", self.base());
            return Err(if may_pass(&error) { anyhow!(error) } else { Final(error).into() });
        }
        let frames = result["frames"].as_array();
        let frames = frames.with_context(|| format!("{}{path}: no frames in {answer}", self.base()))?;
        // A frame holds columns; the first is time, and each is as long as the frame has samples.
        Ok(frames.iter().filter_map(|frame| frame["data"]["values"][0].as_array()).map(Vec::len).sum())
    }

    /// The data sources that exist say more than the 404 with which a query for another is refused.
    fn explain(&self, datasource: &str, error: anyhow::Error) -> Result<Value> {
        if error.downcast_ref().is_some_and(|refused: &Refused| refused.status == 404) {
            self.expect_prometheus(datasource)?;
        }
        Err(definite(error))
    }

    /// The data source of that uid; `None` where Grafana does not list them. One that is missing, or no Prometheus, is a
    /// final error: Grafana reads what is provisioned before it answers anything.
    fn expect_prometheus(&self, uid: &str) -> Result<Option<Datasource>> {
        let Some(list) = self.datasources()? else { return Ok(None) };
        let there: Vec<String> = list.iter().map(|source| format!("{} ({})", source.uid, source.kind)).collect();
        match list.into_iter().find(|source| source.uid == uid) {
            Some(source) if PROMETHEUS.contains(&source.kind.as_str()) => Ok(Some(source)),
            Some(source) => {
                bail!(Final(format!("data source `{uid}` is of type `{}`; expected prometheus", source.kind)))
            }
            None => bail!(Final(format!("no data source has uid `{uid}`; Grafana has: {}", out::names(&there)))),
        }
    }

    /// The scrape interval that Grafana assumes for a data source; `None` where it does not list them.
    pub fn scrape_interval(&self, uid: &str) -> Result<Option<Duration>> {
        let Some(source) = self.expect_prometheus(uid)? else { return Ok(None) };
        let interval = humantime::parse_duration(&source.json_data.time_interval);
        Ok(Some(interval.unwrap_or(variables::SCRAPE_INTERVAL)))
    }

    /// The uid of the data source that a dashboard falls back to: the default one, or else the first that is a
    /// Prometheus; `None` where Grafana does not list them.
    pub fn default_prometheus(&self) -> Result<Option<String>> {
        let Some(mut list) = self.datasources()? else { return Ok(None) };
        list.retain(|source| PROMETHEUS.contains(&source.kind.as_str()));
        list.sort_by_key(|source| !source.is_default);
        Ok(Some(list.into_iter().next().context("Grafana has no data source of type prometheus")?.uid))
    }

    /// The uids and names of its data sources; `None` where it does not list them.
    pub fn datasource_names(&self) -> Result<Option<Vec<String>>> {
        let names = |list: Vec<Datasource>| list.into_iter().flat_map(|source| [source.uid, source.name]).collect();
        Ok(self.datasources()?.map(names))
    }

    /// `None` where the list is not shown, as newer versions do not show it to a viewer.
    fn datasources(&self) -> Result<Option<Vec<Datasource>>> {
        let answer = self.0.get("/api/datasources", &[])?;
        Ok(if answer.status == 403 { None } else { Some(answer.json()?) })
    }

    fn get(&self, path: &str) -> Result<Value> {
        self.0.get(path, &[])?.json()
    }
}

fn fields<'l>(list: &'l [Value], name: &str) -> Vec<&'l str> {
    list.iter().filter_map(|entry| entry[name].as_str()).collect()
}

/// The major version in a version such as `9.4.0-pre`; 0 where there is none.
fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default()
}

/// Makes an answer that waiting does not change a final one: a refusal, or the failure of the data source's plugin.
fn definite(error: anyhow::Error) -> anyhow::Error {
    let is_definite = error.downcast_ref().is_some_and(|refused: &Refused| {
        let by_plugin = refused.body.contains("\"plugin.");
        (refused.status.is_client_error() || by_plugin) && refused.status != 429 && !may_pass(&refused.body)
    });
    if is_definite { Final(format!("{error:#}")).into() } else { error }
}

fn may_pass(text: &str) -> bool {
    ["timeout", "deadline exceeded"].iter().any(|passing| text.to_lowercase().contains(passing))
}
