//! The rules of dashboard-linter, which is not at hand everywhere; `just lint-manifests` runs the tool itself where it
//! is. What it excuses stands with its reason in `grafana/dashboards/.lint`.

use e2e::workspace::variables;
use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr};
use serde_json::{Value, json};

use crate::shipped::{self, DASHBOARD};
use crate::{assert_none, promql};

const EXCLUSIONS: &str = "grafana/dashboards/.lint";

#[test]
fn the_dashboard_cannot_be_edited() {
    assert_eq!(shipped::dashboard_json()["editable"], json!(false), "{DASHBOARD}: uneditable-dashboard-rule");
}

#[test]
fn job_is_a_variable_of_the_form_that_the_linter_asks_for() {
    let job = variable("job");
    assert_eq!(job["type"], "query", "{DASHBOARD}: template-job-rule");
    assert_eq!(job["datasource"]["uid"], "${datasource}", "{DASHBOARD}: template-job-rule");
    assert_eq!(job["label"], "Job", "{DASHBOARD}: template-job-rule");
    assert_eq!(job["multi"], json!(true), "{DASHBOARD}: template-job-rule");
    assert_eq!(job["allValue"], ".+", "{DASHBOARD}: template-job-rule");
}

/// The rules speak of one job, and the dashboard shows the same.
#[test]
fn job_is_constant() {
    let job = variable("job");
    let constant = format!("query_result(label_replace(vector(1), \"job\", \"{}\", \"\", \"\"))", e2e::stack::JOB);
    assert_eq!(job["query"]["query"], constant);
    assert_eq!(job["current"]["value"], json!([e2e::stack::JOB]));
    assert_eq!((&job["hide"], &job["includeAll"]), (&json!(2), &json!(false)));
    let regex = job["regex"].as_str().unwrap().trim_matches('/');
    let result = format!("{{job=\"{}\"}} 1 1700000000000", e2e::stack::JOB);
    assert_eq!(&regex::Regex::new(regex).unwrap().captures(&result).unwrap()[1], e2e::stack::JOB);
}

/// A label that is missing is empty, which `.+` would not match.
#[test]
fn every_cluster_is_shown_where_there_is_none() {
    assert_eq!(variable("cluster")["allValue"], ".*");
}

#[test]
fn variables_follow_the_time_range() {
    for variable in variables().iter().filter(|variable| variable["type"] == "query") {
        assert_eq!(variable["refresh"], 2, "{DASHBOARD}: template-on-time-change-reload: {}", variable["name"]);
    }
}

#[test]
fn every_selector_is_narrowed_by_the_variables() {
    let mut problems = Vec::new();
    for (owner, expr) in parsed() {
        for selector in promql::selectors(&expr) {
            for name in ["job", "cluster", "node"] {
                let narrowed = promql::matchers(selector).any(|matcher| {
                    let value = matcher.value.trim_end_matches('|');
                    matcher.name == name && matches!(matcher.op, MatchOp::Re(_)) && value == format!("${name}")
                });
                if !narrowed {
                    problems.push(format!("{DASHBOARD}: {owner}: no `{name}=~\"${name}\"` in `{selector}`"));
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_counter_is_read_as_a_rate_over_the_rate_interval() {
    let mut problems = Vec::new();
    for (owner, expr) in parsed() {
        let parts = promql::parts(&expr);
        let rates = parts.iter().filter_map(|part| match part {
            Expr::Call(call) if matches!(call.func.name, "rate" | "irate" | "increase") => call.args.args.first(),
            _ => None,
        });
        let under_rate: Vec<_> =
            rates.flat_map(|argument| promql::selectors(argument)).map(ToString::to_string).collect();
        for selector in promql::selectors(&expr) {
            let counter = selector.name.as_ref().is_some_and(|name| name.ends_with("_total"));
            if counter && !under_rate.contains(&selector.to_string()) {
                problems.push(format!("{DASHBOARD}: {owner}: target-counter-agg-rule: `{selector}`"));
            }
        }
    }
    for panel in shipped::panels_json() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().unwrap();
            if expr.matches("rate(").count() != expr.matches("[$__rate_interval])").count() {
                problems.push(format!("{DASHBOARD}: panel {}: target-rate-interval-rule: `{expr}`", panel["id"]));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_exclusion_has_its_reason() {
    let file: Value = serde_saphyr::from_str(&shipped::read(EXCLUSIONS)).unwrap();
    let excluded = file["exclusions"].as_object().unwrap();
    assert_eq!(excluded.keys().collect::<Vec<_>>(), ["template-instance-rule", "target-instance-rule"]);
    for (rule, exclusion) in excluded {
        assert!(exclusion["reason"].as_str().is_some_and(|reason| reason.len() > 20), "{EXCLUSIONS}: {rule}");
    }
    assert_eq!(file.as_object().unwrap().len(), 1, "{EXCLUSIONS} has more than exclusions");
}

fn variables() -> Vec<Value> {
    shipped::dashboard_json()["templating"]["list"].as_array().unwrap().clone()
}

fn variable(name: &str) -> Value {
    let found = variables().into_iter().find(|variable| variable["name"] == name);
    found.unwrap_or_else(|| panic!("{DASHBOARD}: no variable `{name}`"))
}

/// Every panel's queries, the variables of selectors left as they are.
fn parsed() -> Vec<(String, Expr)> {
    let mut values = shipped::dashboard().values();
    for name in ["job", "cluster", "node"] {
        values.insert(name.to_owned(), format!("${name}"));
    }
    let dashboard = shipped::dashboard();
    let panels = dashboard.panels().into_iter();
    let targets = panels.flat_map(|panel| panel.targets.iter().map(move |target| (panel, target)));
    targets
        .map(|(panel, target)| {
            let expr = variables::fill(&target.expr, &values).unwrap();
            (format!("panel {} `{}`", panel.id, panel.title), parser::parse(&expr).unwrap())
        })
        .collect()
}
