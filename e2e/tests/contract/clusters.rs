//! Two clusters behind one Prometheus may have nodes of the same name: no query may take them for one.

use promql_parser::parser::{self, Expr, LabelModifier};

use crate::catalogue::CLUSTER;
use crate::shipped::{self, CATALOGUE};
use crate::{assert_none, promql};
use e2e::workspace::promql::parts;

/// What an aggregation without any grouping is.
#[derive(Clone, Copy, PartialEq)]
enum Total {
    /// A figure over all clusters that the reader chose.
    Wanted,
    /// One alert for all clusters.
    Wrong,
}

#[test]
fn no_rule_merges_clusters() {
    let mut problems = Vec::new();
    for file in shipped::rules() {
        for rule in file.rules() {
            let found = merging(&rule.expr, Total::Wrong).into_iter();
            problems.extend(found.map(|problem| format!("{}: `{}`: {problem}", file.path, rule.name())));
        }
    }
    assert_none(&problems);
}

#[test]
fn no_panel_merges_clusters() {
    let mut problems = Vec::new();
    for query in shipped::queries(&shipped::dashboard().values()) {
        problems.extend(merging(&query.expr, Total::Wanted).into_iter().map(|it| format!("{query}: {it}")));
    }
    assert_none(&problems);
}

/// A series that belongs to a cluster says so, wherever its node or collector is named.
#[test]
fn every_legend_names_the_cluster() {
    let mut problems = Vec::new();
    for query in shipped::queries(&shipped::dashboard().values()) {
        let known = promql::check(&query.expr, &CATALOGUE).labels.contains(CLUSTER);
        let named = query.texts.concat();
        if known && named.contains("{{") && !named.contains("{{cluster}}") {
            problems.push(format!("{query}: no cluster in the legend `{named}`"));
        }
    }
    assert_none(&problems);
}

/// What in a query takes the nodes of two clusters for one.
fn merging(query: &str, total: Total) -> Vec<String> {
    let Ok(expr) = parser::parse(query) else { return vec![format!("`{query}` is not PromQL")] };
    parts(&expr).into_iter().filter_map(|part| merger(part, total)).collect()
}

fn merger(part: &Expr, total: Total) -> Option<String> {
    let (operator, modifier, words) = match part {
        Expr::Aggregate(aggregate) => (aggregate.op.to_string(), aggregate.modifier.as_ref(), ("by", "without")),
        Expr::Binary(binary) => {
            (binary.op.to_string(), binary.modifier.as_ref()?.matching.as_ref(), ("on", "ignoring"))
        }
        _ => return None,
    };
    let has_cluster = |labels: &[String]| labels.iter().any(|label| label == CLUSTER);
    match modifier {
        // The second if the first is empty.
        Some(LabelModifier::Include(kept)) if operator == "or" && kept.labels.is_empty() => None,
        Some(LabelModifier::Include(kept)) if !has_cluster(&kept.labels) => {
            Some(format!("`{operator} {} ({})` merges clusters: add `cluster`", words.0, kept.labels.join(", ")))
        }
        Some(LabelModifier::Exclude(dropped)) if has_cluster(&dropped.labels) => {
            Some(format!("`{operator} {} ({})` merges clusters", words.1, dropped.labels.join(", ")))
        }
        None if matches!(part, Expr::Aggregate(_)) && !promql::picks(&operator) && total == Total::Wrong => {
            Some(format!("`{operator}` without `by` merges clusters"))
        }
        _ => None,
    }
}
