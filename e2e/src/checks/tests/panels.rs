//! `panels-have-data`.

use super::*;

/// A dashboard of one panel with this query.
fn project(expr: &str) -> Project {
    Project { dashboards: vec![serde_json::from_value(dashboard(expr)).unwrap()], ..Project::default() }
}

fn dashboard(expr: &str) -> Value {
    let panel = json!({ "id": 1, "type": "stat", "title": "P", "gridPos": { "x": 0, "y": 0, "w": 1, "h": 1 },
        "targets": [{ "refId": "A", "expr": expr, "instant": true }] });
    let variable =
        json!({ "name": "datasource", "type": "datasource", "query": "prometheus", "current": { "value": "u" } });
    json!({ "uid": "u", "title": "D", "panels": [panel], "templating": { "list": [variable] } })
}

/// Grafana's list of its one data source.
fn datasources(kind: &str, time_interval: &str) -> (&'static str, String) {
    let options = json!({ "timeInterval": time_interval });
    ("/api/datasources", plain(&json!([{ "uid": "u", "type": kind, "jsonData": options }])))
}

#[test]
fn every_panel_has_samples_from_prometheus_and_through_grafana() {
    let through = |frames: &Value| {
        let answer = plain(&json!({ "results": { "A": { "frames": frames } } }));
        Part::Here(Grafana::new(answering(&[datasources("prometheus", "1s"), ("/api/ds/query", answer)])))
    };
    let judge = |prometheus: &str, grafana: Part<Grafana>| {
        let answers = [(ACTIVE, active(&[])), ("/api/v1/query?query=up", prometheus.to_owned())];
        judged_by("panels-have-data", &Stack { grafana, ..stack(Procfs::Unseen, &answers) }, &project("up"))
    };
    let (one, none) = (vector(&[(json!({}), 1.0)]), vector(&[]));
    let (frame, empty) = (json!([{ "data": { "values": [[1], [1]] } }]), json!([]));
    let seen = [
        judge(&one, Part::Omitted),
        judge(&one, through(&frame)),
        judge(&none, Part::Omitted),
        judge(&one, through(&empty)),
        judge(&none, through(&frame)),
        judge(BAD, Part::Omitted),
    ];
    assert_snapshot!(shown(seen), @"
    pass all 1 queries answered from Prometheus; there is no Grafana to ask; `$__rate_interval` computed from the targets' scrape interval of 15s
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    FAIL samples for every panel: last seen: no samples: panel 1 `P`, query A (`up`)
    FAIL samples for every panel: last seen: no samples through Grafana, although Prometheus has some: panel 1 `P`, query A
    FAIL samples for every panel: last seen: no samples: panel 1 `P`, query A (`up`)
    FAIL query `up`: parse error: panel 1 `P`, query A
    ");
}

/// Another query that finds nothing does not hide it.
#[test]
fn grafana_is_asked_for_what_prometheus_has_whatever_it_lacks() {
    let frames = plain(&json!({ "results": { "A": { "frames": [] } } }));
    let grafana = Grafana::new(answering(&[datasources("prometheus", "1s"), ("/api/ds/query", frames)]));
    let answers = [("/api/v1/query?query=up", vector(&[(json!({}), 1.0)])), ("/api/v1/query?query=x", vector(&[]))];
    let stack = Stack { grafana: Part::Here(grafana), ..stack(Procfs::Unseen, &answers) };
    let mut both = project("up");
    both.dashboards.extend(project("x").dashboards);
    assert_snapshot!(shown([judged_by("panels-have-data", &stack, &both)]), @"FAIL samples for every panel: last seen: no samples through Grafana, although Prometheus has some: panel 1 `P`, query A; no samples: panel 1 `P`, query A (`x`)");
}

/// Grafana draws nothing then, although its default data source has samples.
#[test]
fn a_panel_names_a_data_source_that_grafana_has() {
    let judge = |uid: &str, own: bool| {
        let frames = plain(&json!({ "results": { "A": { "frames": [{ "data": { "values": [[1], [1]] } }] } } }));
        let grafana = Grafana::new(answering(&[datasources("prometheus", "1s"), ("/api/ds/query", frames)]));
        let answers = [("/api/v1/query?query=up", vector(&[(json!({}), 1.0)]))];
        let stack = Stack { grafana: Part::Here(grafana), own, ..stack(Procfs::Unseen, &answers) };
        let mut file = dashboard("up");
        file["panels"][0]["datasource"] = json!({ "type": "prometheus", "uid": uid });
        let project = Project { dashboards: vec![serde_json::from_value(file).unwrap()], ..Project::default() };
        judged_by("panels-have-data", &stack, &project)
    };
    let seen = [judge("u", false), judge("${datasource}", false), judge("other", true), judge("other", false)];
    assert_snapshot!(shown(seen), @"
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    FAIL samples for every panel: last seen: Grafana has no data source `other`: panel 1 `P`, query A
    ");
}

/// Its error is Prometheus' own text.
#[test]
fn no_control_character_of_a_failed_panel_gets_into_a_report() {
    let bad = BAD.replace("parse error", "\\u001b[31mparse error\\u0007");
    let answers = [(ACTIVE, active(&[])), ("/api/v1/query?query=up", bad)];
    let outcome = judged_by("panels-have-data", &stack(Procfs::Unseen, &answers), &project("up"));
    assert_snapshot!(shown([outcome]), @"FAIL query `up`: parse error: panel 1 `P`, query A");
}

#[test]
fn a_dashboard_without_a_query_is_nothing_to_check() {
    let mut project = project("up");
    project.dashboards = vec![serde_json::from_value::<Dashboard>(json!({ "uid": "u", "title": "D" })).unwrap()];
    let stack = stack(Procfs::Unseen, &[(ACTIVE, active(&[]))]);
    assert_snapshot!(shown([judged_by("panels-have-data", &stack, &project)]), @"FAIL the dashboards have no query: nothing to check");
}

/// A Prometheus that scrapes once a minute has no rate over one minute.
#[test]
fn the_interval_of_a_rate_follows_grafana_and_without_it_the_targets() {
    let mut slow = target("a", "up");
    slow["scrapeInterval"] = json!("1m");
    let judge = |grafana: Option<(&'static str, String)>| {
        let one = vector(&[(json!({}), 1.0)]);
        let (four_minutes, one_minute) = ("/api/v1/query?query=x240000ms", "/api/v1/query?query=x60000ms");
        let none = vector(&[]);
        let answers = [(ACTIVE, active(std::slice::from_ref(&slow))), (four_minutes, one), (one_minute, none)];
        let frames = plain(&json!({ "results": { "A": { "frames": [{ "data": { "values": [[1], [1]] } }] } } }));
        let grafana = grafana
            .map_or(Part::Omitted, |list| Part::Here(Grafana::new(answering(&[list, ("/api/ds/query", frames)]))));
        let stack = Stack { grafana, ..stack(Procfs::Unseen, &answers) };
        judged_by("panels-have-data", &stack, &project("x$__rate_interval"))
    };
    let hidden = ("/api/datasources", "403 x\n".to_owned());
    let seen = [
        judge(None),
        judge(Some(datasources("prometheus", "1m"))),
        judge(Some(datasources("grafana-amazonprometheus-datasource", "1m"))),
        judge(Some(datasources("grafana-azureprometheus-datasource", "1m"))),
        judge(Some(hidden)),
        judge(Some(datasources("prometheus", ""))),
        judge(Some(datasources("loki", "1m"))),
    ];
    assert_snapshot!(shown(seen), @"
    pass all 1 queries answered from Prometheus; there is no Grafana to ask; `$__rate_interval` computed from the targets' scrape interval of 1m
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana
         panel 1 `P`: samples A 1
    pass all 1 queries answered from Prometheus and through Grafana; `$__rate_interval` computed from the targets' scrape interval of 1m
         panel 1 `P`: samples A 1
    FAIL samples for every panel: last seen: no samples: panel 1 `P`, query A (`x60000ms`)
    FAIL data source `u` is of type `loki`; expected prometheus
    ");
}
