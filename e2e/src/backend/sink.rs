//! The receiver of the lab's pages: a webhook, which writes each to a log and keeps it, and a configuration of Alertmanager
//! in which it takes the place of every receiver.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use fs_err as fs;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::client::alertmanager::{Page, PagedAlert, Pages};

/// How many alerts of a page are in its line.
const SHOWN: usize = 3;

/// A running sink. Dropping it closes its port.
#[derive(Debug)]
pub(super) struct Sink {
    pub address: String,
    pub pages: Pages,
    _running: oneshot::Sender<()>,
}

impl Sink {
    /// Listens on a free port of an address; the log has a line for each page.
    pub fn start(address: IpAddr, log: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (pages, (running, ended)) = (Pages::default(), oneshot::channel());
        let router = router(pages.clone(), log);
        thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served,
                    _ = ended => Ok(()),
                }
            })
        });
        Ok(Self { address, pages, _running: running })
    }
}

/// The configuration with a second for each wait: what fires is delivered at once.
pub(super) fn at_once(mut config: Value) -> Value {
    if let Some(root) = config.get_mut("route").and_then(Value::as_object_mut) {
        remove_waits(root);
        root.extend(["group_wait", "group_interval"].map(|wait| (wait.to_owned(), json!("1s"))));
    }
    config
}

/// The time intervals in which a route is muted or active. They are those of the clock, at any speed.
pub(super) fn time_intervals(route: &Value) -> BTreeSet<&str> {
    let lists = ["mute_time_intervals", "active_time_intervals"].into_iter().filter_map(|list| route[list].as_array());
    let below = route["routes"].as_array().into_iter().flatten().flat_map(time_intervals);
    lists.flatten().filter_map(Value::as_str).chain(below).collect()
}

/// The configuration with this webhook, or nothing, in the place of what each receiver is made of. A receiver that is made of
/// nothing stays so. Global settings and templates are for other receivers, and may name files and secrets.
pub(super) fn delivering_to(webhook: Option<&str>, config: &Value) -> Value {
    let mut config = config.clone();
    let Some(fields) = config.as_object_mut() else { return config };
    fields.remove("global");
    fields.remove("templates");
    for receiver in fields.get_mut("receivers").and_then(Value::as_array_mut).into_iter().flatten() {
        let delivers = receiver.as_object().is_some_and(|fields| fields.keys().any(|key| key.ends_with("_configs")));
        let mut replaced = json!({ "name": receiver["name"] });
        if let Some(webhook) = webhook.filter(|_| delivers) {
            replaced["webhook_configs"] = json!([{ "url": webhook, "send_resolved": true }]);
        }
        *receiver = replaced;
    }
    config
}

/// Removes the waits of a route and of those below it, which then are those of the root.
fn remove_waits(route: &mut Map<String, Value>) {
    route.remove("group_wait");
    route.remove("group_interval");
    let routes = route.get_mut("routes").and_then(Value::as_array_mut);
    routes.into_iter().flatten().filter_map(Value::as_object_mut).for_each(remove_waits);
}

fn router(pages: Pages, log: PathBuf) -> Router {
    let receive = move |body: Bytes| async move {
        let Ok(page) = serde_json::from_slice::<Page>(&body) else { return StatusCode::BAD_REQUEST };
        // A page that cannot be logged was received all the same.
        let _ = append(&log, &page);
        pages.add(page);
        StatusCode::OK
    };
    // A page of thousands of nodes is larger than axum's limit.
    Router::new().fallback(receive).layer(DefaultBodyLimit::disable())
}

fn append(log: &Path, page: &Page) -> io::Result<()> {
    let time = humantime::format_rfc3339_millis(SystemTime::now());
    let mut names: Vec<&str> =
        page.alerts.iter().filter_map(|alert| Some(alert.labels.get("alertname")?.as_str())).collect();
    names.dedup();
    let (Page { receiver, status, alerts, .. }, names) = (page, names.join(","));
    let shown: String = alerts.iter().take(SHOWN).map(shown).collect();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(log)?;
    let count = alerts.len();
    writeln!(file, "time={time} msg=page status={status} receiver={receiver:?} alerts={count} names={names}{shown}")
}

/// An alert in the line of its page. Quotes and line ends in a label or a summary are escaped.
fn shown(alert: &PagedAlert) -> String {
    let labels: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let summary = alert.annotations.get("summary").map_or(String::new(), |summary| format!(" summary={summary:?}"));
    format!(" labels={:?}{summary}", labels.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_become_the_sink_and_routes_and_inhibitions_stay() {
        let inhibition = json!([{ "source_matchers": ["a=b"], "target_matchers": ["c=d"], "equal": ["job"] }]);
        let config = json!({
            "global": { "smtp_auth_password_file": "/secret" },
            "templates": ["*.tmpl"],
            "route": { "receiver": "team", "group_wait": "30s", "group_by": ["job"], "routes": [
                { "receiver": "null", "matchers": ["severity=none"], "group_interval": "5m" },
            ] },
            "receivers": [{ "name": "team", "email_configs": [{ "to": "a@b" }] }, { "name": "null" }],
            "inhibit_rules": inhibition,
        });
        let expected = json!({
            "route": { "receiver": "team", "group_by": ["job"], "routes": [
                { "receiver": "null", "matchers": ["severity=none"] },
            ], "group_wait": "1s", "group_interval": "1s" },
            "receivers": [
                { "name": "team", "webhook_configs": [{ "url": "http://sink/", "send_resolved": true }] },
                { "name": "null" },
            ],
            "inhibit_rules": inhibition,
        });
        assert_eq!(delivering_to(Some("http://sink/"), &at_once(config.clone())), expected);
        let nobody = json!([{ "name": "team" }, { "name": "null" }]);
        assert_eq!(delivering_to(None, &config)["receivers"], nobody);
    }

    #[test]
    fn a_page_is_one_line_with_its_first_alerts() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let alert = json!({ "status": "firing", "labels": { "alertname": "Down", "job": "a" },
            "annotations": { "summary": "a \"b\"\nc" } });
        let page = json!({ "receiver": "team", "status": "firing", "alerts": [alert, alert, alert, alert] });
        append(log.path(), &serde_json::from_value(page).unwrap()).unwrap();
        let line = fs::read_to_string(log.path()).unwrap();
        let shown = r#" labels="alertname=Down, job=a" summary="a \"b\"\nc""#.repeat(3);
        let expected = format!(" msg=page status=firing receiver=\"team\" alerts=4 names=Down{shown}\n");
        assert!(line.ends_with(&expected), "{line}");
    }

    #[test]
    fn the_time_intervals_of_every_route_are_found() {
        let route = json!({ "routes": [
            { "mute_time_intervals": ["nights"], "routes": [{ "active_time_intervals": ["days", "nights"] }] },
            { "receiver": "team" },
        ] });
        assert_eq!(time_intervals(&route), ["days", "nights"].into());
    }
}
