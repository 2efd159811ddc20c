//! A panel's unit against the unit of what its queries give.

use promql_parser::parser::{self, Expr};
use serde_json::Value;

use crate::{assert_none, shipped};

/// What a value is measured in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Seconds,
    Bytes,
    /// A share of something.
    Ratio,
    /// A count, a state, a load.
    Number,
}

#[test]
fn every_panel_has_the_unit_of_its_metric() {
    let mut problems = Vec::new();
    let queries = shipped::queries(&shipped::dashboard().values());
    for query in queries.into_iter().filter(|query| query.key.0 > 0) {
        let parsed = parser::parse(&query.expr).unwrap_or_else(|error| panic!("{query}: {error}"));
        let (shown, measured) = (shown(&query.owner, &query.key.1), unit(&parsed));
        if !spellings(measured).contains(&shown) {
            let wanted = spellings(measured);
            problems.push(format!(
                "{query}: its unit is `{shown}`, and `{}` is in {measured:?}: one of {wanted:?}",
                query.expr
            ));
        }
    }
    assert_none(&problems);
}

/// How Grafana calls a unit.
fn spellings(unit: Unit) -> &'static [&'static str] {
    match unit {
        Unit::Seconds => &["s", "dtdurations", "dtdhms"],
        Unit::Bytes => &["bytes", "decbytes"],
        Unit::Ratio => &["percentunit"],
        Unit::Number => &["none", "short"],
    }
}

fn unit(expr: &Expr) -> Unit {
    match expr {
        Expr::VectorSelector(selector) => of_metric(selector.name.as_deref().unwrap_or_default()),
        Expr::MatrixSelector(matrix) => of_metric(matrix.vs.name.as_deref().unwrap_or_default()),
        Expr::Subquery(subquery) => unit(&subquery.expr),
        Expr::Paren(paren) => unit(&paren.expr),
        Expr::Unary(unary) => unit(&unary.expr),
        Expr::Aggregate(aggregate) => match aggregate.op.to_string().as_str() {
            "count" | "group" | "count_values" => Unit::Number,
            _ => unit(&aggregate.expr),
        },
        Expr::Call(call) => {
            let of_argument = call.args.args.iter().map(|argument| unit(argument)).find(|unit| *unit != Unit::Number);
            match (call.func.name, of_argument.unwrap_or(Unit::Number)) {
                // Seconds a second.
                ("rate" | "irate", Unit::Seconds) => Unit::Ratio,
                ("resets" | "changes" | "count_over_time" | "absent" | "present_over_time", _) => Unit::Number,
                (_, unit) => unit,
            }
        }
        Expr::Binary(binary) => {
            let (left, right) = (unit(&binary.lhs), unit(&binary.rhs));
            match binary.op.to_string().as_str() {
                "/" if left == right => Unit::Ratio,
                "/" if right == Unit::Number => left,
                "/" => Unit::Number,
                "*" if left == Unit::Number => right,
                _ => left,
            }
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Unit::Number,
    }
}

/// By the suffix that Prometheus' naming asks for; the one metric of ours that has none is `node_uptime`.
fn of_metric(name: &str) -> Unit {
    match name.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => Unit::Seconds,
        Some("bytes") => Unit::Bytes,
        _ if name == "node_uptime" => Unit::Seconds,
        _ if name.ends_with(":ratio") => Unit::Ratio,
        _ => Unit::Number,
    }
}

/// The unit in which a panel shows a query: in a table its column may have one of its own.
fn shown<'a>(panel: &'a Value, letter: &str) -> &'a str {
    let default = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
    let organized = panel["transformations"].as_array().into_iter().flatten().find(|step| step["id"] == "organize");
    let Some(columns) = organized.map(|step| &step["options"]["renameByName"]) else { return default };
    let column = &columns[format!("Value #{letter}")];
    let overrides = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    let own = overrides.filter(|it| it["matcher"]["options"] == *column).filter_map(|it| it["properties"].as_array());
    own.flatten().find(|property| property["id"] == "unit").and_then(|it| it["value"].as_str()).unwrap_or(default)
}
