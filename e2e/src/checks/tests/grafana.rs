//! `grafana-healthy`, `datasource-healthy` and `dashboard-loaded`.

use super::*;

#[test]
fn a_grafana_that_is_omitted_is_not_one_that_is_missing() {
    for name in ["grafana-healthy", "datasource-healthy", "dashboard-loaded"] {
        let judge = |grafana| judged(name, &Stack { grafana, ..stack(Procfs::Unseen, &[]) });
        let seen = [judge(Part::Omitted), judge(Part::Missing("not found".into()))];
        assert_eq!(shown(seen), "omit excluded on request\nskip not found");
    }
}

#[test]
fn grafana_its_data_source_and_its_dashboard_are_judged_by_recorded_answers() {
    let recorded = |file: &str| {
        fs::read_to_string(crate::workspace::root().join("e2e/src/client/grafana/recorded").join(file)).unwrap()
    };
    let judge = |name: &str, answers: &[(&str, String)]| {
        let grafana = Part::Here(Grafana::new(answering(answers)));
        judged(name, &Stack { grafana, ..stack(Procfs::Unseen, &[]) })
    };
    let path = crate::workspace::root().join(dashboard::FILE);
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let held = |panel: &str| {
        let mut file = file.clone();
        file["panels"][1]["title"] = json!(panel);
        let answer = json!({ "dashboard": file, "meta": { "url": "/d/mini-node-exporter/x" } });
        [("/api/dashboards/uid/", plain(&answer))]
    };
    let healthy = ("/api/health", recorded("health.txt"));
    let list = ("/api/datasources", recorded("datasources-as-viewer.txt"));
    let query = ("/api/ds/query", recorded("query-ok.txt"));
    let unknown = ("/api/dashboards/uid/", recorded("dashboard-unknown.txt"));
    let seen = [
        judge("grafana-healthy", std::slice::from_ref(&healthy)),
        judge("grafana-healthy", &[("/api/health", plain(&json!({ "database": "failing" })))]),
        judge("datasource-healthy", &[list, healthy, query]),
        judge("dashboard-loaded", &held("Nodes up")),
        judge("dashboard-loaded", &held("changed")),
        judge("dashboard-loaded", &[unknown.clone(), ("/api/search", recorded("search.txt"))]),
        judge("dashboard-loaded", &[unknown, ("/api/search", recorded("search-none.txt"))]),
    ];
    assert_snapshot!(shown(seen), @r#"
    pass version 9.4.0-pre
    FAIL a healthy Grafana: last seen: http://ADDRESS/api/health: the database is not ok: {"database":"failing"}
    pass answers a query; version 9.4.0-pre has no health check for it
    pass `mini-node-exporter-dashboard` at /d/mini-node-exporter/x, 26 panels as in the file
    FAIL the dashboard: last seen: http://ADDRESS/api/dashboards/uid/mini-node-exporter differs from the file: the title of panel 2 `Nodes up`: `changed`, but `Nodes up` in the file
    FAIL the dashboard: last seen: no dashboard has uid `mini-node-exporter`; Grafana has: mini-node-exporter
    FAIL the dashboard: last seen: no dashboard has uid `mini-node-exporter`; Grafana has: none
    "#);
}
