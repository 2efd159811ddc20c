//! `windows-fit`.

use super::*;

/// A job that is scraped every 15 s, and rules that are evaluated every minute.
fn answers() -> Vec<(String, String)> {
    let mut target = target("a", "up");
    target["labels"]["instance"] = json!("a");
    target["scrapeInterval"] = json!("15s");
    let series = |instance: &str| vector(&[(json!({ "job": JOB, "instance": instance }), 1.0)]);
    let rules =
        ok(&json!({ "groups": [{ "name": "g", "interval": 60, "rules": [{ "name": "a:b", "health": "ok" }] }] }));
    vec![
        (ACTIVE.to_owned(), active(&[target])),
        (RULES.to_owned(), rules),
        (asking("group by (job, instance) (x)"), series("a")),
        (asking("group by (job, instance) (other)"), series("elsewhere")),
    ]
}

fn judge(project: &Project, grafana: Part<Grafana>) -> Outcome {
    judged_by("windows-fit", &Stack { grafana, ..stack(Procfs::Unseen, &borrowed(&answers())) }, project)
}

fn rule(expr: &str) -> Project {
    let rules = json!({ "groups": [{ "name": "g", "rules": [{ "alert": "A", "expr": expr }] }] });
    Project { rules: vec![RuleFile::parse("x.yml", &rules.to_string()).unwrap()], ..Project::default() }
}

fn panel(expr: &str) -> Project {
    let dashboard =
        json!({ "title": "D", "panels": [{ "id": 1, "title": "P", "targets": [{ "refId": "A", "expr": expr }] }] });
    Project { dashboards: vec![serde_json::from_value(dashboard).unwrap()], ..Project::default() }
}

#[test]
fn a_range_holds_two_samples_of_the_interval_at_which_its_series_are_scraped() {
    let seen = [
        "rate(x[1m])",
        "rate(x[30s] offset 1h)",
        "sum(increase((x[29s]))) > 1",
        "max_over_time(x[1s])",
        "irate(a:b[1m])",
        "rate(other[1s])",
        "unknown syntax",
    ]
    .map(|expr| judge(&rule(expr), Part::Omitted));
    assert_snapshot!(shown(seen), @"
    pass 1 range holds two samples or more
    pass 1 range holds two samples or more
         note: `rate(x[30s] offset 1h)` in rule `A`: 30s with a sample every 15s; use 1m or more
    FAIL 1 problem:
      `increase((x[29s]))` in rule `A`: 29s with a sample every 15s; use 1m or more
    omit no range of `rate` or its kin in the rules and dashboards
    FAIL 1 problem:
      `irate(a:b[1m])` in rule `A`: 1m with a sample every 1m; use 4m or more
    skip no target has the series of 1 range
    omit no range of `rate` or its kin in the rules and dashboards
    " );
}

#[test]
fn grafana_knows_the_interval() {
    let grafana = |interval: &str| {
        let list = json!([{ "uid": "u", "type": "prometheus", "jsonData": { "timeInterval": interval } }]);
        Part::Here(Grafana::new(answering(&[("/api/datasources", plain(&list))])))
    };
    let judge = |expr: &str, interval: &str| {
        let stack = Stack {
            grafana: grafana(interval),
            datasource: Some("u".into()),
            ..stack(Procfs::Unseen, &borrowed(&answers()))
        };
        judged_by("windows-fit", &stack, &panel(expr))
    };
    let rate = "rate(x[$__rate_interval])";
    let seen = [judge(rate, ""), judge(rate, "15s"), judge(rate, "5s"), judge("rate(x[$__interval])", "15s")];
    assert_snapshot!(shown(seen), @"
    pass 1 range holds two samples or more
    pass 1 range holds two samples or more
    FAIL 2 problems:
      data source `u` assumes a scrape interval of 5s, and job `mini-node-exporter` is scraped every 15s: set its scrape interval (`timeInterval`) to 15s
      `rate(x[20s])` in panel 1 `P`, query A: 20s with a sample every 15s; use 1m or more
    FAIL 1 problem:
      `rate(x[15s])` in panel 1 `P`, query A: 15s with a sample every 15s; use 1m or more
    ");
}

#[test]
fn nothing_to_check_is_no_pass() {
    assert_snapshot!(shown([judge(&Project::default(), Part::Omitted)]), @"omit no rules and no dashboard; name some with `--rules` and `--dashboards`");
}

#[test]
fn a_series_that_comes_late_is_waited_for() {
    let late = [(asking("group by (job, instance) (x)"), vector(&[]))].into_iter().chain(answers()).collect::<Vec<_>>();
    let stack = stack(Procfs::Unseen, &borrowed(&late));
    let backend = Backend { stack, limit: Duration::from_secs(20), ended: false };
    let project = rule("rate(x[1m])");
    let seen = only(Subject { backend: &backend, project: &project }, "windows-fit");
    assert_snapshot!(shown([seen]), @"pass 1 range holds two samples or more");
}
