//! A client of Grafana's HTTP API, as far as the checks need it, and what they ask. It is the anonymous viewer that the
//! lab's Grafana admits.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::workspace::dashboard::Dashboard;
use crate::workspace::held::differences;
use crate::workspace::queries::Query;

/// The deadline of one request.
const LIMIT: Duration = Duration::from_secs(5);

/// A Grafana by its base address, such as `http://127.0.0.1:3000`.
#[derive(Clone, Debug)]
pub struct Grafana {
    base: String,
    agent: Agent,
}

impl Grafana {
    /// A client; nothing is asked yet.
    pub fn new(base: impl Into<String>) -> Self {
        Self::with_limit(base, LIMIT)
    }

    fn with_limit(base: impl Into<String>, limit: Duration) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(limit))
            .proxy(None)
            .http_status_as_error(false)
            // Grafana sends whoever it does not admit to its login page; that is an answer to show, not to follow.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build()
            .into();
        Self { base: base.into(), agent }
    }

    /// `grafana-healthy`: it runs and has its database. Gives its version.
    pub fn healthy(&self) -> Result<String> {
        let health = self.get("/api/health")?;
        ensure!(health["database"] == "ok", "{}/api/health: the database is not ok: {health}", self.base);
        Ok(health["version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// `datasource-healthy`: it reaches the data source of that uid. Gives what it says about it.
    pub fn datasource_healthy(&self, uid: &str) -> Result<String> {
        let path = format!("/api/datasources/uid/{uid}/health");
        let health = self.get(&path)?;
        ensure!(health["status"] == "OK", "{}{path}: not OK: {health}", self.base);
        Ok(health["message"].as_str().unwrap_or_default().to_owned())
    }

    /// `dashboard-loaded`: the dashboard can be found, and what Grafana holds agrees with the file. Gives its path.
    pub fn dashboard_loaded(&self, file: &Dashboard) -> Result<String> {
        let list = self.get("/api/search?type=dash-db")?;
        let found = list.as_array().into_iter().flatten().find(|entry| entry["uid"] == file.uid.as_str());
        let found = found.with_context(|| format!("{}/api/search: no dashboard has uid `{}`", self.base, file.uid))?;

        let path = format!("/api/dashboards/uid/{}", file.uid);
        let mut answer = self.get(&path)?;
        let held = serde_json::from_value(answer["dashboard"].take())
            .with_context(|| format!("{}{path}: not a classic dashboard", self.base))?;
        let differences = differences(file, &held);
        ensure!(differences.is_empty(), "{}{path} differs from the file: {}", self.base, differences.join("; "));
        Ok(found["url"].as_str().unwrap_or_default().to_owned())
    }

    /// How many samples a query gives when it is asked through Grafana.
    pub fn samples(&self, datasource: &str, query: &Query) -> Result<usize> {
        let answer = self.post(
            "/api/ds/query",
            &json!({
                "from": "now-5m",
                "to": "now",
                "queries": [{
                    "refId": "A",
                    "datasource": { "type": "prometheus", "uid": datasource },
                    "expr": query.expr,
                    "instant": query.instant,
                    "range": !query.instant,
                    "format": "time_series",
                    "intervalMs": 5000,
                    "maxDataPoints": 100,
                }],
            }),
        )?;
        let result = &answer["results"]["A"];
        if let Some(error) = result["error"].as_str() {
            bail!("{}/api/ds/query: {error}", self.base);
        }
        let frames = result["frames"].as_array();
        let frames = frames.with_context(|| format!("{}/api/ds/query: no frames in {answer}", self.base))?;
        // A frame holds columns; the first is time, and each is as long as the frame has samples.
        Ok(frames.iter().filter_map(|frame| frame["data"]["values"][0].as_array()).map(Vec::len).sum())
    }

    fn get(&self, path: &str) -> Result<Value> {
        let request = Request { method: "GET", url: format!("{}{path}", self.base) };
        request.read(self.agent.get(&request.url).call())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = Request { method: "POST", url: format!("{}{path}", self.base) };
        request.read(self.agent.post(&request.url).send_json(body))
    }
}

/// A request, for messages.
struct Request {
    method: &'static str,
    url: String,
}

impl Request {
    fn read(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value> {
        let mut answer = answer.with_context(|| self.to_string())?;
        let status = answer.status();
        let body = answer.body_mut().read_to_vec().with_context(|| self.to_string())?;
        ensure!(status.is_success(), "{self}: {status}: {}", start(&body));
        serde_json::from_slice(&body).with_context(|| format!("{self}: {status}, but not JSON: {}", start(&body)))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// As much of a body as fits a message: its first 200 bytes.
fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned()
}
