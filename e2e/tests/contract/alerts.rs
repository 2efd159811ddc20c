//! The rules, and the runbook that their alerts point into.

use std::collections::BTreeSet;

use crate::pages::{Page, anchor};
use crate::promql;
use e2e::workspace::rules::Rule;
use regex::Regex;

use crate::shipped::{self, CATALOGUE, RUNBOOK};
use crate::{assert_none, written};

#[test]
fn every_rule_uses_metrics_and_labels_that_are_there() {
    problems(|rule| promql::check(&rule.expr, &CATALOGUE).problems);
}

#[test]
fn every_text_names_labels_that_its_alert_has() {
    problems(|rule| {
        let labels = promql::check(&rule.expr, &CATALOGUE).labels;
        let used = template_labels(rule).into_iter();
        let unknown = used.filter(|(_, label)| !labels.contains(label) && !rule.labels.contains_key(label));
        unknown.map(|(place, label)| format!("{place}: unknown label `{label}`")).collect()
    });
}

#[test]
fn every_alert_says_what_where_and_how_bad() {
    problems(|rule| {
        let mut missing = Vec::new();
        if rule.alert.is_none() {
            return missing;
        }
        for annotation in ["summary", "description", "runbook_url"] {
            if rule.annotations.get(annotation).is_none_or(String::is_empty) {
                missing.push(format!("no annotation `{annotation}`"));
            }
        }
        if !rule.labels.get("severity").is_some_and(|it| ["info", "warning", "critical"].contains(&it.as_str())) {
            missing.push("no label `severity` of info, warning or critical".to_owned());
        }
        let about_a_node = promql::check(&rule.expr, &CATALOGUE).labels.contains("node");
        if about_a_node && !template_labels(rule).contains(&("description".to_owned(), "node".to_owned())) {
            missing.push("its description does not name the node".to_owned());
        }
        missing
    });
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let anchors = Page::read(RUNBOOK.to_owned(), &shipped::read(RUNBOOK)).anchors();
    problems(|rule| {
        let Some(name) = &rule.alert else { return Vec::new() };
        let (url, own) = (rule.annotations.get("runbook_url"), anchor(name));
        let wanted = format!("{}#{own}", written::runbook());
        let mut wrong = Vec::new();
        if !anchors.contains(&own) {
            wrong.push(format!("{RUNBOOK} has no section `#{own}`"));
        }
        if url != Some(&wanted) {
            wrong.push(format!("runbook_url is {url:?} and not `{wanted}`"));
        }
        wrong
    });
}

#[test]
fn no_two_rules_have_the_same_name_and_labels() {
    let mut names = BTreeSet::new();
    problems(|rule| {
        let new = names.insert((rule.name().to_owned(), rule.labels.clone()));
        if new { Vec::new() } else { vec!["another rule has this name".to_owned()] }
    });
}

/// The labels that a rule's templates use, each with where.
fn template_labels(rule: &Rule) -> Vec<(String, String)> {
    let label = Regex::new(r"\$labels\.(\w+)").unwrap();
    let texts = rule.annotations.iter().chain(&rule.labels);
    texts.flat_map(|(place, text)| label.captures_iter(text).map(|it| (place.clone(), it[1].to_owned()))).collect()
}

/// Fails with what `find` finds wrong with each rule.
#[track_caller]
fn problems(mut find: impl FnMut(&Rule) -> Vec<String>) {
    let mut problems = Vec::new();
    for file in shipped::rules() {
        for rule in file.rules() {
            let kind = if rule.alert.is_some() { "alert" } else { "record" };
            let found = find(rule).into_iter();
            problems.extend(found.map(|problem| format!("{}: {kind} `{}`: {problem}", file.path, rule.name())));
        }
    }
    assert_none(&problems);
}
