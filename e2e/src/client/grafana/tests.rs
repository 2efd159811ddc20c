//! The client against recorded answers of a real Grafana 9.4, and against answers that a broken one might give.

use super::*;
use crate::client::stand_in::StandIn;

const OK: &str = "200 application/json\n";
const HEALTH: &str = include_str!("recorded/health.txt");
const DATASOURCES: &str = include_str!("recorded/datasources-as-viewer.txt");
const UNIMPLEMENTED: &str = include_str!("recorded/datasource-health-unimplemented.txt");
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

#[test]
fn a_data_source_is_healthy_by_its_own_check() {
    let health = "200 application/json\n{\"status\": \"OK\", \"message\": \"it works\"}";
    let new = |health| -> &'static [(&str, &str)] {
        Box::leak(Box::new([("/api/datasources/uid/", health), ("/api/datasources", DATASOURCES)]))
    };
    assert_eq!(grafana(new(health)).datasource_healthy(UID).unwrap(), "it works");
    let error = "200 application/json\n{\"status\": \"ERROR\", \"message\": \"connection refused\"}";
    assert!(failure(grafana(new(error)).datasource_healthy(UID)).contains("connection refused"));
    let gone = include_str!("recorded/datasource-health-unknown-uid.txt");
    assert!(failure(grafana(new(gone)).datasource_healthy(UID)).contains("Unable to load datasource metadata"));
}

#[test]
fn before_version_10_a_query_is_the_check() {
    let old = |query| -> &'static [(&str, &str)] {
        Box::leak(Box::new([
            ("/api/datasources/uid/", UNIMPLEMENTED),
            ("/api/datasources", DATASOURCES),
            ("/api/ds/query", query),
        ]))
    };
    let seen = grafana(old(QUERY_OK)).datasource_healthy(UID).unwrap();
    assert!(seen.starts_with("answers a query") && seen.contains("version 10"), "{seen}");
    assert!(failure(grafana(old(QUERY_EMPTY)).datasource_healthy(UID)).contains("gives 0 samples, not 1"));
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
    const HELD: &str = "200 application/json\n{\"dashboard\": {\"uid\": \"mini-node-exporter\", \"title\": \"t\"}}";
    let grafana = grafana(&[("/api/search?type=dash-db", SEARCH), ("/api/dashboards/uid/mini-node-exporter", HELD)]);
    let file = dashboard("mini-node-exporter");
    assert_eq!(grafana.dashboard_loaded(&file).unwrap(), "/d/mini-node-exporter/mini-node-exporter-dashboard");
    let shown = failure(grafana.dashboard_loaded(&dashboard_titled("mini-node-exporter", "other")));
    assert!(shown.ends_with("differs from the file: title: `t`, but `other` in the file"), "{shown}");
}

#[test]
fn a_dashboard_that_is_not_there_is_named_and_so_are_those_that_are() {
    let found = grafana(&[("/api/search", SEARCH)]).dashboard_loaded(&dashboard("u"));
    assert_eq!(failure(found), "no dashboard has uid `u`; Grafana has: mini-node-exporter");
    let none = grafana(&[("/api/search", include_str!("recorded/search-none.txt"))]).dashboard_loaded(&dashboard("u"));
    assert_eq!(failure(none), "no dashboard has uid `u`; Grafana has: none");
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
    assert!(shown(html).contains("/api/health: 200 OK, but not as expected: <html>hello</html>"));
}

#[test]
fn no_answer_ends_at_the_deadline_and_nobody_there_is_named() {
    let silent = StandIn::silent();
    let waiting = Grafana(Server::with_limit(&silent.base, std::time::Duration::from_millis(300)));
    let shown = failure(waiting.healthy());
    assert!(shown.starts_with(&format!("GET {}/api/health: timeout", silent.base)), "{shown}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shown = failure(Grafana::new(format!("http://{free}")).samples("x", "up", true));
    assert!(shown.starts_with(&format!("POST http://{free}/api/ds/query: ")), "{shown}");
}
