//! The client against recorded answers of a real Grafana 9.4, against answers that a broken one might give, and against some
//! of Grafana 13 that are written down after its documentation: no real one has been asked.

use super::*;
use crate::client::stand_in::StandIn;

const OK: &str = "200 application/json\n";
const HEALTH: &str = include_str!("recorded/health.txt");
const DATASOURCES: &str = include_str!("recorded/datasources-as-viewer.txt");
const SEARCH: &str = include_str!("recorded/search.txt");
const QUERY_OK: &str = include_str!("recorded/query-ok.txt");
const QUERY_EMPTY: &str = include_str!("recorded/query-empty.txt");
const QUERY_UNKNOWN: &str = include_str!("recorded/query-unknown-datasource.txt");
const UID: &str = "mini-node-exporter-prometheus";

fn grafana(answers: &'static [(&'static str, &'static str)]) -> Grafana {
    Grafana(StandIn::answering(answers).server())
}

fn dashboard(uid: &str) -> Dashboard {
    dashboard_titled(uid, "t")
}

fn dashboard_titled(uid: &str, title: &str) -> Dashboard {
    serde_json::from_value(json!({ "uid": uid, "title": title })).unwrap()
}

#[track_caller]
fn failure<T: std::fmt::Debug>(result: Result<T>) -> String {
    format!("{:#}", result.expect_err("it should fail"))
}

#[test]
fn a_healthy_grafana_says_its_version() {
    assert_eq!(grafana(&[("/api/health", HEALTH)]).healthy().unwrap(), "9.4.0-pre");
    let sick = grafana(&[("/api/health", "200 application/json\n{\"database\": \"failing\"}")]);
    assert!(failure(sick.healthy()).contains("the database is not ok"));
}

/// A Grafana with the recorded data source, of that version, with this answer to one path.
fn versioned(version: &str, path: &'static str, answer: &str) -> Grafana {
    let health = format!("{OK}{}", json!({ "database": "ok", "version": version }));
    Grafana(StandIn::answering(&[("/api/health", &health), (path, answer), ("/api/datasources", DATASOURCES)]).server())
}

#[test]
fn a_data_source_is_healthy_by_its_own_check() {
    let check = |answer: &str| versioned("10.0.0", "/api/datasources/uid/", answer).datasource_healthy(UID);
    let healthy = format!("{OK}{}", json!({ "status": "OK", "message": "it works" }));
    assert_eq!(check(&healthy).unwrap(), "it works");
    // Definite answers, as of versions 9 and 10: the wait ends.
    let refused = json!({ "status": "ERROR", "message": "dial tcp 127.0.0.1:1: connect: connection refused" });
    let plugin = json!({ "message": "An error occurred within the plugin", "messageId": "plugin.downstreamError" });
    for (status, body) in [(200, &refused), (400, &refused), (500, &plugin)] {
        let error = check(&format!("{status} application/json\n{body}")).unwrap_err();
        assert!(error.is::<Final>(), "{status}: {error:#}");
    }
    // These may pass.
    let slow = json!({ "status": "ERROR", "message": "context deadline exceeded" });
    for (status, body) in [(400, &slow), (502, &refused), (500, &json!({ "message": "database is locked" }))] {
        let error = check(&format!("{status} application/json\n{body}")).unwrap_err();
        assert!(!error.is::<Final>(), "{status}: {error:#}");
    }
}

/// Its log would show the unknown route as an error, among what is shown of a failed check.
#[test]
fn before_version_10_a_query_is_the_check_and_no_unknown_route_is_asked_for() {
    let check = |answer: &str| versioned("9.4.0-pre", "/api/ds/query", answer).datasource_healthy(UID);
    assert_eq!(check(QUERY_OK).unwrap(), "answers a query; version 9.4.0-pre has no health check for it");
    assert!(failure(check(QUERY_EMPTY)).contains("returns 0 samples; expected 1"));
}

#[test]
fn a_data_source_of_another_type_fails_for_good() {
    let list = format!("{OK}{}", json!([{ "uid": "u", "type": "loki" }]));
    let grafana = Grafana(StandIn::answering(&[("/api/datasources", &list)]).server());
    let error = grafana.datasource_healthy("u").unwrap_err();
    assert!(error.is::<Final>() && error.to_string() == "data source `u` is of type `loki`; expected prometheus");
}

#[test]
fn a_data_source_that_is_not_there_fails_for_good_and_says_which_are() {
    let answers = &[("/api/datasources", DATASOURCES), ("/api/ds/query", QUERY_UNKNOWN)];
    let said = "no data source has uid `x`; Grafana has: mini-node-exporter-prometheus (prometheus)";
    for error in
        [grafana(answers).datasource_healthy("x").unwrap_err(), grafana(answers).samples("x", "up", true).unwrap_err()]
    {
        assert!(error.is::<Final>(), "{error:#}");
        assert_eq!(error.to_string(), said);
    }
    // A viewer who may not see the list still sees the answer.
    let error = grafana(&[("/api/datasources", "403 x\n"), ("/api/ds/query", QUERY_UNKNOWN)]).samples("x", "up", true);
    assert!(failure(error).contains("404 Not Found: {\n \"message\": \"Data source not found\""));
}

#[test]
fn samples_are_counted_over_all_frames() {
    let three = "200 application/json\n{\"results\": {\"A\": {\"status\": 200, \"frames\": [
        {\"data\": {\"values\": [[1, 2], [0.5, 0.6]]}}, {\"data\": {\"values\": [[1], [7]]}}, {\"data\": {\"values\": []}}]}}}";
    let query = |answer| {
        let answers: &'static [(&str, &str)] = Box::leak(Box::new([("/api/ds/query", answer)]));
        grafana(answers).samples(UID, "up", true)
    };
    assert_eq!(query(three).unwrap(), 3);
    assert_eq!(query(QUERY_OK).unwrap(), 1);
    assert_eq!(query(QUERY_EMPTY).unwrap(), 0);
    let refused = "207 application/json\n{\"results\": {\"A\": {\"error\": \"bad_data: no\"}}}";
    assert!(failure(query(refused)).ends_with("/api/ds/query: bad_data: no"));
    assert!(failure(query("400 application/json\nno")).ends_with("/api/ds/query: 400 Bad Request: no"));
}

#[test]
fn a_dashboard_that_agrees_with_its_file_is_loaded() {
    const HELD: &str =
        "200 application/json\n{\"dashboard\": {\"uid\": \"u\", \"title\": \"t\"}, \"meta\": {\"url\": \"/d/u/t\"}}";
    let grafana = grafana(&[("/api/dashboards/uid/u", HELD)]);
    assert_eq!(grafana.dashboard_loaded(&dashboard("u")).unwrap(), "/d/u/t");
    let shown = failure(grafana.dashboard_loaded(&dashboard_titled("u", "other")));
    assert!(shown.ends_with("differs from the file: title: `t`, but `other` in the file"), "{shown}");
}

/// Written down after the documentation of version 13.2, and after what its migration from schema 37 to 42 does: Grafana's
/// own fields are gone, the overrides of the table say `cellOptions`.
fn resource_of_version_13() -> Value {
    let mut spec: Value = serde_json::from_str(&fs_err::read_to_string(dashboard_file()).unwrap()).unwrap();
    for field in ["id", "uid", "version"] {
        spec.as_object_mut().unwrap().remove(field);
    }
    spec["schemaVersion"] = json!(42);
    let renamed = spec.to_string().replace("custom.displayMode", "custom.cellOptions");
    json!({
        "kind": "Dashboard",
        "apiVersion": "dashboard.grafana.app/v1",
        "metadata": { "name": "mini-node-exporter", "namespace": "default", "uid": "Cc7fA5ffHY94", "generation": 1 },
        "spec": serde_json::from_str::<Value>(&renamed).unwrap(),
        "status": {},
    })
}

fn dashboard_file() -> std::path::PathBuf {
    crate::workspace::root().join(crate::workspace::dashboard::FILE)
}

#[test]
fn version_13_is_asked_for_a_resource_which_its_migration_does_not_make_differ() {
    let shipped = Dashboard::read(&dashboard_file()).unwrap();
    let loaded = |resource: Value| {
        let answer = format!("{OK}{resource}");
        versioned("13.0.0", "/apis/dashboard.grafana.app/v1/namespaces/default/dashboards/", &answer)
            .dashboard_loaded(&shipped)
    };
    let mut resource = resource_of_version_13();
    assert_eq!(loaded(resource.clone()).unwrap(), "/d/mini-node-exporter");
    resource["spec"]["title"] = json!("changed");
    let shown = failure(loaded(resource));
    assert!(
        shown.contains("/apis/") && shown.ends_with("title: `changed`, but `mini-node-exporter-dashboard` in the file")
    );
}

#[test]
fn where_there_is_no_resource_the_deprecated_request_answers() {
    let held = json!({ "dashboard": { "uid": "u", "title": "t" }, "meta": { "url": "/d/u/t" } });
    let other = json!({ "metadata": { "name": "u" }, "spec": { "title": "not asked for" } });
    for (version, status, resource) in [("13.0.0", 403, json!({ "kind": "Status" })), ("12.4.1", 200, other)] {
        let health = format!("{OK}{}", json!({ "database": "ok", "version": version }));
        let (resource, held) = (format!("{status} application/json\n{resource}"), format!("{OK}{held}"));
        let answers = [("/api/health", &*health), ("/apis/", &*resource), ("/api/dashboards/uid/u", &*held)];
        let grafana = Grafana(StandIn::answering(&answers).server());
        assert_eq!(grafana.dashboard_loaded(&dashboard("u")).unwrap(), "/d/u/t", "{version}");
    }
}

#[test]
fn a_dashboard_that_is_not_there_is_named_and_so_are_those_that_are() {
    let unknown = ("/api/dashboards/uid/", include_str!("recorded/dashboard-unknown.txt"));
    for (list, there) in [(SEARCH, "mini-node-exporter"), (include_str!("recorded/search-none.txt"), "none")] {
        let grafana = Grafana(StandIn::answering(&[unknown, ("/api/search?type=dash-db", list)]).server());
        let shown = failure(grafana.dashboard_loaded(&dashboard("u")));
        assert_eq!(shown, format!("no dashboard has uid `u`; Grafana has: {there}"));
    }
}

#[test]
fn an_answer_that_is_no_help_is_shown_with_its_address() {
    let shown = |answer: &'static str| {
        let answers: &'static [(&str, &str)] = Box::leak(Box::new([("/api/health", answer)]));
        failure(grafana(answers).healthy())
    };
    let long: &str = Box::leak(format!("503 x\n{}END", "é".repeat(300)).into_boxed_str());
    assert!(shown(long).ends_with(&format!("/api/health: 503 Service Unavailable: {}", "é".repeat(200))));
    assert!(shown("302 location=/login\n").ends_with("/api/health: 302 Found: "));
    let html: &str = Box::leak(format!("{OK}<html>hello</html>").into_boxed_str());
    assert!(shown(html).contains("/api/health: 200 OK: unexpected body: <html>hello</html>"));
}

#[test]
fn no_answer_ends_at_the_deadline_and_a_refused_connection_is_named() {
    let silent = StandIn::silent();
    let waiting = Grafana(Server::with_limit(&silent.base, std::time::Duration::from_millis(300)));
    let shown = failure(waiting.healthy());
    assert!(shown.starts_with(&format!("GET {}/api/health: timeout", silent.base)), "{shown}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shown = failure(Grafana::new(format!("http://{free}")).samples("x", "up", true));
    assert!(shown.starts_with(&format!("POST http://{free}/api/ds/query: ")), "{shown}");
}
