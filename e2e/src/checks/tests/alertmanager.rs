//! `alertmanager-ready`, `alertmanagers-known` and `alerts-delivered`.

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;

use super::*;
use crate::checks::alertmanager::page;
use crate::client::access::Access;
use crate::client::alertmanager::{Alertmanager, Delivery, Page, Pages};

const KNOWN: &str = "/api/v1/alertmanagers";
const HELD: &str = "/api/v2/alerts?filter=";
const SENT: &str = "/api/v2/alerts";
const METRICS: &str = "/metrics";

#[test]
fn an_alertmanager_that_is_omitted_missing_or_out_of_reach_is_not_judged() {
    for name in ["alertmanager-ready", "alerts-delivered"] {
        let judge = |alertmanager| judged(name, &Stack { alertmanager, ..stack(Procfs::Unseen, &[]) });
        let seen = [judge(Part::Omitted), judge(Part::Missing("not found".into())), judge(Part::Here(None))];
        assert_eq!(
            shown(seen),
            "omit excluded on request\nskip not found\n\
             omit its address is not known; name it with `--alertmanager URL`"
        );
    }
}

#[test]
fn an_alertmanager_is_ready_if_it_says_so() {
    let judge = |ready: &str| {
        let answers = [
            ("/-/ready", ready.to_owned()),
            ("/api/v2/status", plain(&json!({ "versionInfo": { "version": "0.28.1" } }))),
        ];
        let alertmanager = Part::Here(Some(Alertmanager::new(answering(&answers), Delivery::Lab(Pages::default()))));
        judged("alertmanager-ready", &Stack { alertmanager, ..stack(Procfs::Unseen, &[]) })
    };
    assert_snapshot!(shown([judge("200 text/plain\nOK"), judge("503 text/plain\nstarting")]), @"
    pass version 0.28.1
    FAIL a ready Alertmanager: last seen: GET http://ADDRESS/-/ready: 503 Service Unavailable: starting
    ");
}

#[test]
fn a_prometheus_whose_alerts_reach_nobody_is_told() {
    let judge = |own: bool, kind: &str, known: &[&str]| {
        let known: Vec<Value> = known.iter().map(|url| json!({ "url": url })).collect();
        let rule = json!({ "name": "A", "health": "ok", "type": kind });
        let rules = ok(&json!({ "groups": [{ "interval": 15, "rules": [rule] }] }));
        let answers = [(KNOWN, ok(&json!({ "activeAlertmanagers": known }))), (RULES, rules)];
        let stack = Stack { own, alertmanager: Part::Here(None), ..stack(Procfs::Unseen, &answers) };
        judged("alertmanagers-known", &stack)
    };
    let seen = [
        judge(true, "alerting", &["http://a:9093/api/v2/alerts"]),
        judge(true, "recording", &[]),
        judge(false, "alerting", &[]),
        judge(false, "recording", &[]),
    ];
    assert_snapshot!(shown(seen), @"
    pass Prometheus sends alerts to http://a:9093/api/v2/alerts
    FAIL an Alertmanager that Prometheus knows: last seen: Prometheus has found none, and its alerts reach nobody; name one in `alerting` in its configuration
    FAIL an Alertmanager that Prometheus knows: last seen: Prometheus has found none, and its alerts reach nobody; name one in `alerting` in its configuration
    omit Prometheus has no alerting rule
    ");
}

/// An Alertmanager that delivers all that it is sent at once.
#[test]
fn a_synthetic_alert_has_to_be_delivered() {
    let (pages, sent) = (Pages::default(), Pages::default());
    let delivering = |to: Option<&Pages>| {
        let to = to.cloned();
        let deliver = move |body: Bytes| async move {
            let mut alerts: Vec<Value> = serde_json::from_slice(&body).unwrap();
            for alert in &mut alerts {
                alert["status"] = json!("firing");
            }
            let page = json!({ "receiver": "team", "status": "firing", "alerts": alerts });
            if let Some(to) = to {
                to.add(serde_json::from_value::<Page>(page).unwrap());
            }
        };
        StandIn::of(Router::new().route(SENT, post(deliver).get(|| async { "[]" }))).base
    };
    let judge = |base: String, pages: &Pages| {
        let alertmanager = Part::Here(Some(Alertmanager::new(base, Delivery::Lab(pages.clone()))));
        let scraped = Scraped::Instances(BTreeSet::new());
        judged("alerts-delivered", &Stack { scraped, alertmanager, ..stack(Procfs::Unseen, &[]) })
    };
    let seen = [judge(delivering(Some(&pages)), &pages), judge(delivering(Some(&sent)), &Pages::default())];
    assert_snapshot!(shown(seen), @"
    pass a synthetic alert reached the receiver `team`
    FAIL the synthetic alert delivered: last seen: Alertmanager does not have it
    ");
}

#[test]
fn what_keeps_a_synthetic_alert_is_told() {
    let judge = |status: &Value, failed: u32| {
        let alert = json!({ "fingerprint": "f", "labels": { "alertname": "LabProbe", "cluster": "probe" }, "status": status,
            "receivers": [{ "name": "team" }] });
        let metrics =
            format!("# HELP x\nalertmanager_notification_requests_failed_total{{integration=\"webhook\"}} {failed}\n");
        let answers = [
            (HELD, plain(&json!([alert]))),
            (SENT, "200 text/plain\n".to_owned()),
            (METRICS, format!("200 text/plain\n{metrics}")),
        ];
        let alertmanager = Part::Here(Some(Alertmanager::new(answering(&answers), Delivery::Lab(Pages::default()))));
        judged("alerts-delivered", &Stack { alertmanager, ..stack(Procfs::Unseen, &[]) })
    };
    let by = |how: &str| json!({ "state": "suppressed", how: ["x"] });
    let seen = [
        judge(&json!({ "state": "active" }), 0),
        judge(&json!({ "state": "active" }), 3),
        judge(&by("inhibitedBy"), 0),
        judge(&by("silencedBy"), 0),
        judge(&by("mutedBy"), 0),
    ];
    assert_snapshot!(shown(seen), @"
    FAIL the synthetic alert delivered: last seen: its route leads to the receiver `team`; no request to a receiver failed
    FAIL the synthetic alert delivered: last seen: its route leads to the receiver `team`; 3 requests to receivers failed since it started
    FAIL the synthetic alert delivered: last seen: it is inhibited by x; no request to a receiver failed
    FAIL the synthetic alert delivered: last seen: it is silenced by x; no request to a receiver failed
    FAIL the synthetic alert delivered: last seen: it is muted by x; no request to a receiver failed
    ");
}

#[test]
fn what_the_lab_cannot_receive_is_not_judged() {
    let alertmanager = Alertmanager::new("http://nowhere", Delivery::Nobody("cannot receive pages".into()));
    let seen = judged(
        "alerts-delivered",
        &Stack { alertmanager: Part::Here(Some(alertmanager)), ..stack(Procfs::Unseen, &[]) },
    );
    assert_eq!(shown([seen]), "skip cannot receive pages");
}

/// Whose receivers are people: what counts is that one of them has taken a request.
#[test]
fn a_page_to_people_is_seen_by_what_alertmanager_counts() {
    let judge = |counts: [(u32, u32); 2]| {
        let alert = json!({ "fingerprint": "f", "labels": { "alertname": "LabProbe" }, "status": {}, "receivers": [{ "name": "team" }] });
        let metrics = counts.map(|(all, failed)| {
            let metric = "alertmanager_notification_requests";
            (
                METRICS,
                format!("200 text/plain\n{metric}_total{{a=\"b\"}} {all}\n{metric}_failed_total{{a=\"b\"}} {failed}\n"),
            )
        });
        let answers = [&metrics[..], &[(HELD, plain(&json!([alert]))), (SENT, "200 text/plain\n".to_owned())]].concat();
        let alertmanager = Alertmanager::elsewhere(&answering(&answers), &Access::default(), true);
        Outcome::from(page(&alertmanager, JOB, Duration::ZERO))
    };
    assert_snapshot!(shown([judge([(7, 2), (8, 2)]), judge([(7, 2), (8, 3)])]), @"
    pass a receiver has taken a page since `LabProbe` was sent: its route leads to the receiver `team`
    FAIL the synthetic alert delivered: last seen: its route leads to the receiver `team`; 3 requests to receivers failed since it started
    ");
}
