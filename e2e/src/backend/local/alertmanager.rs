//! The local Alertmanager: its configuration, in which the lab's sink takes the place of every receiver, and its start.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use fs_err as fs;
use serde_json::{Map, Value, json};

use super::on_a_free_port;
use super::sink::Sink;
use crate::backend::Ports;
use crate::client::alertmanager::Alertmanager;
use crate::process::child::Process;
use crate::run::Run;
use crate::terminal::progress::Progress;

/// Its configuration in the run's directory.
pub const CONFIG: &str = "alertmanager.yml";

/// The Alertmanager's process, and the sink that it delivers to.
pub(super) struct Running {
    pub process: Process,
    _sink: Sink,
}

/// Starts Alertmanager and the sink, and waits until it is ready.
pub(super) fn start(
    program: &Path,
    config: &Value,
    ports: Ports,
    progress: &Progress,
    run: &Run,
) -> Result<(Running, Alertmanager)> {
    progress.step("start Alertmanager", |_| {
        let sink = Sink::start(run.dir().join("pages.log"))?;
        let config = delivering_to(&format!("http://{}/", sink.address), config);
        fs::write(run.dir().join(CONFIG), serde_json::to_vec_pretty(&config)?)?;
        let (process, address) = on_a_free_port(ports, 9093, progress, |port| {
            let args = [
                format!("--config.file={CONFIG}").into(),
                "--storage.path=alertmanager".into(),
                format!("--web.listen-address=127.0.0.1:{port}").into(),
                // No cluster: it would listen on every address.
                "--cluster.listen-address=".into(),
            ];
            let log = run.dir().join("alertmanager.log");
            Ok((Process::start("alertmanager", program, &args, &[], log)?, "Listening on"))
        })?;
        let alertmanager = Alertmanager::new(format!("http://{address}"), sink.pages.clone());
        process.wait_until("ready", Duration::from_secs(30), || alertmanager.ready().map(drop))?;
        Ok((Running { process, _sink: sink }, alertmanager))
    })
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

/// The configuration with this webhook in the place of what each receiver is made of. A receiver that is made of nothing
/// stays so. Global settings and templates are for other receivers, and may name files and secrets.
fn delivering_to(webhook: &str, config: &Value) -> Value {
    let mut config = config.clone();
    let Some(fields) = config.as_object_mut() else { return config };
    fields.remove("global");
    fields.remove("templates");
    for receiver in fields.get_mut("receivers").and_then(Value::as_array_mut).into_iter().flatten() {
        let delivers = receiver.as_object().is_some_and(|fields| fields.keys().any(|key| key.ends_with("_configs")));
        let mut replaced = json!({ "name": receiver["name"] });
        if delivers {
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
        assert_eq!(delivering_to("http://sink/", &at_once(config)), expected);
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
