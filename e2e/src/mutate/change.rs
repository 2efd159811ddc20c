//! The changes of an expression: each changes one clause.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use promql_parser::label::Labels;
use promql_parser::parser::token::{
    T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_NEQ, TokenId, TokenType,
};
use promql_parser::parser::{
    self, AggregateExpr, BinModifier, BinaryExpr, Expr, LabelModifier, NumberLiteral, Offset, VectorMatchCardinality,
};
use promql_parser::util::display_duration;

use crate::play::speed_up::{children, selector};

/// An expression with one clause changed.
pub struct Change {
    /// What kind of clause it is.
    pub kind: &'static str,
    /// The change in words, such as `> becomes >=`; no two of an expression are the same.
    pub text: String,
    /// The part of the expression in which it is.
    pub clause: String,
    pub expr: Expr,
}

/// Returns an expression as it is printed, and its changes in the order of its text. Fails where the printed expression
/// would be another one.
pub fn changes(text: &str) -> Result<(String, Vec<Change>)> {
    let whole = parse(text)?;
    let printed = print(&whole).context("it is printed as another expression")?;
    let mut changes = all(&whole);
    // No change at all, or no expression, such as a selector without a matcher.
    changes.retain(|change| change.expr != whole && print(&change.expr).is_some());
    let mut seen = HashMap::<String, usize>::new();
    for change in &mut changes {
        let count = seen.entry(change.text.clone()).or_default();
        *count += 1;
        if *count > 1 {
            write!(change.text, " #{count}")?;
        }
    }
    Ok((printed, changes))
}

/// The printed expression, if it parses as the same one.
fn print(expr: &Expr) -> Option<String> {
    let text = expr.to_string();
    parse(&text).is_ok_and(|again| again == *expr).then_some(text)
}

fn parse(text: &str) -> Result<Expr> {
    let mut expr = parser::parse(text).map_err(|error| anyhow!("cannot parse it: {error}"))?;
    sort(&mut expr);
    Ok(expr)
}

/// Puts matchers into the order in which they are printed.
fn sort(expr: &mut Expr) {
    if let Some(selector) = selector(expr) {
        selector.matchers.matchers.sort_by_key(ToString::to_string);
    }
    children(expr).into_iter().for_each(sort);
}

/// The changes of an expression and of those below it.
fn all(expr: &Expr) -> Vec<Change> {
    let below: Vec<Expr> = children(&mut expr.clone()).into_iter().map(|child| child.clone()).collect();
    if below.is_empty() {
        return own(expr);
    }
    // An operator stands between its sides.
    let place = usize::from(matches!(expr, Expr::Binary(_)));
    let mut changes = Vec::new();
    for (index, child) in below.iter().enumerate() {
        if index == place {
            changes.extend(own(expr));
        }
        for change in all(child) {
            let mut whole = expr.clone();
            *children(&mut whole)[index] = change.expr;
            // A number alone says little.
            let clause = if matches!(child, Expr::NumberLiteral(_)) { expr.to_string() } else { change.clause };
            changes.push(Change { clause, expr: whole, ..change });
        }
    }
    changes
}

/// The changes of an expression itself.
fn own(expr: &Expr) -> Vec<Change> {
    let change = |(kind, text, changed)| Change { kind, text, clause: expr.to_string(), expr: changed };
    match expr {
        Expr::NumberLiteral(number) => vec![change(doubled(number))],
        Expr::Binary(binary) => {
            let clauses = comparisons(binary).chain(joins(binary)).map(change);
            arms(binary).into_iter().chain(clauses).collect()
        }
        Expr::Aggregate(aggregate) => groupings(aggregate).map(change).collect(),
        _ => windows(expr).chain(matchers(expr)).map(change).collect(),
    }
}

type Changed = (&'static str, String, Expr);

fn doubled(number: &NumberLiteral) -> Changed {
    let other = NumberLiteral::new(if number.val == 0.0 { 1.0 } else { number.val * 2.0 });
    ("number", format!("{number} becomes {other}"), Expr::NumberLiteral(other))
}

/// Turned, and with the limit in or out.
fn comparisons(binary: &BinaryExpr) -> impl Iterator<Item = Changed> {
    let others: &[TokenId] = match binary.op.id() {
        T_GTR => &[T_GTE, T_LSS],
        T_GTE => &[T_GTR, T_LTE],
        T_LSS => &[T_LTE, T_GTR],
        T_LTE => &[T_LSS, T_GTE],
        T_EQLC => &[T_NEQ],
        T_NEQ => &[T_EQLC],
        _ => &[],
    };
    others.iter().map(|id| {
        let op = TokenType::new(*id);
        ("comparison", format!("{} becomes {op}", binary.op), Expr::Binary(BinaryExpr { op, ..binary.clone() }))
    })
}

/// `and`, `or` and `unless` without one of their sides.
fn arms(binary: &BinaryExpr) -> Vec<Change> {
    let BinaryExpr { op, lhs, rhs, .. } = binary;
    let modifier = binary.modifier.as_ref().map(ToString::to_string).unwrap_or_default();
    let without = Change {
        kind: "arm",
        text: format!("without {op}"),
        clause: format!("{op}{modifier} {rhs}"),
        expr: (**lhs).clone(),
    };
    let only = Change {
        kind: "arm",
        text: format!("only the right of {op}"),
        clause: format!("{lhs} {op}{modifier}"),
        expr: (**rhs).clone(),
    };
    match op.id() {
        T_LAND | T_LOR => vec![without, only],
        T_LUNLESS => vec![without],
        _ => Vec::new(),
    }
}

/// `on`, `ignoring`, `group_left` and `group_right` without each of their labels.
fn joins(binary: &BinaryExpr) -> impl Iterator<Item = Changed> {
    let modifier = binary.modifier.clone().unwrap_or_default();
    let with = |modifier| Expr::Binary(BinaryExpr { modifier: Some(modifier), ..binary.clone() });
    let mut changes = Vec::new();
    for (label, matching) in modifier.matching.iter().flat_map(shortened) {
        let name = if modifier.is_matching_on() { "on" } else { "ignoring" };
        // `ignoring ()` is printed as nothing.
        let matching = Some(matching).filter(|matching| matching.is_include() || !matching.labels().is_empty());
        changes.push(("label", format!("{name} loses {label}"), with(BinModifier { matching, ..modifier.clone() })));
    }
    for (label, rest) in modifier.card.labels().into_iter().flat_map(without_each) {
        let (name, card) = match modifier.card {
            VectorMatchCardinality::ManyToOne(_) => ("group_left", VectorMatchCardinality::ManyToOne(rest)),
            _ => ("group_right", VectorMatchCardinality::OneToMany(rest)),
        };
        changes.push(("label", format!("{name} loses {label}"), with(BinModifier { card, ..modifier.clone() })));
    }
    changes.into_iter()
}

/// `by` and `without` without each of their labels.
fn groupings(aggregate: &AggregateExpr) -> impl Iterator<Item = Changed> {
    aggregate.modifier.iter().flat_map(shortened).map(|(label, modifier)| {
        let name = if modifier.is_include() { "by" } else { "without" };
        // `by ()` is printed as nothing.
        let modifier = Some(modifier).filter(|modifier| !modifier.is_include() || !modifier.labels().is_empty());
        ("label", format!("{name} loses {label}"), Expr::Aggregate(AggregateExpr { modifier, ..aggregate.clone() }))
    })
}

fn shortened(modifier: &LabelModifier) -> impl Iterator<Item = (String, LabelModifier)> {
    let like = if modifier.is_include() { LabelModifier::Include } else { LabelModifier::Exclude };
    without_each(modifier.labels()).map(move |(label, rest)| (label, like(rest)))
}

/// Each label, with the list of the others.
fn without_each(labels: &Labels) -> impl Iterator<Item = (String, Labels)> {
    labels.labels.iter().map(|label| {
        let rest = labels.labels.iter().filter(|other| *other != label).cloned().collect();
        (label.clone(), Labels { labels: rest })
    })
}

/// Half of a range and half of an offset.
fn windows(expr: &Expr) -> impl Iterator<Item = Changed> {
    let halved = |find: fn(&mut Expr) -> Option<&mut Duration>, shown: fn(String) -> String| {
        let mut changed = expr.clone();
        let duration = find(&mut changed)?;
        let half = *duration / 2;
        let text = [std::mem::replace(duration, half), half].map(|duration| shown(display_duration(&duration)));
        Some(("window", text.join(" becomes "), changed))
    };
    let range = halved(range, |duration| format!("[{duration}]"));
    let offset = halved(offset, |duration| format!("offset {duration}"));
    range.into_iter().chain(offset)
}

fn range(expr: &mut Expr) -> Option<&mut Duration> {
    match expr {
        Expr::MatrixSelector(matrix) => Some(&mut matrix.range),
        Expr::Subquery(subquery) => Some(&mut subquery.range),
        _ => None,
    }
}

fn offset(expr: &mut Expr) -> Option<&mut Duration> {
    let offset = match expr {
        Expr::Subquery(subquery) => &mut subquery.offset,
        _ => &mut selector(expr)?.offset,
    };
    offset.as_mut().map(|(Offset::Pos(duration) | Offset::Neg(duration))| duration)
}

/// A selector without each of its matchers.
fn matchers(expr: &Expr) -> impl Iterator<Item = Changed> {
    let count = selector(&mut expr.clone()).map_or(0, |selector| selector.matchers.matchers.len());
    (0..count).filter_map(|index| {
        let mut changed = expr.clone();
        let matcher = selector(&mut changed)?.matchers.matchers.remove(index);
        Some(("matcher", format!("without {matcher}"), changed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of clause, and clauses that are alike.
    #[test]
    fn every_clause_of_an_expression_is_changed_alone() {
        let exprs = [
            r#"sum by (job) (rate(a{job="x", env!="y"}[5m] offset 1h)) > bool 0.5"#,
            "max without (a) (max_over_time(b[1h:1m])) * on (job, zone) group_left (a) topk(2, c) >= 0",
            "a or on (job) b and (c <= 1 unless ignoring (zone) d == -1) or e",
        ];
        let shown = exprs.into_iter().flat_map(|text| {
            let (printed, changes) = changes(text).unwrap();
            let lines = changes.into_iter().map(|it| format!("  {}: {}: {}", it.kind, it.text, it.expr));
            [printed].into_iter().chain(lines).collect::<Vec<_>>()
        });
        insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @r#"
        sum by (job) (rate(a{env!="y",job="x"}[5m] offset 1h)) > bool 0.5
          label: by loses job: sum(rate(a{env!="y",job="x"}[5m] offset 1h)) > bool 0.5
          window: [5m] becomes [2m30s]: sum by (job) (rate(a{env!="y",job="x"}[2m30s] offset 1h)) > bool 0.5
          window: offset 1h becomes offset 30m: sum by (job) (rate(a{env!="y",job="x"}[5m] offset 30m)) > bool 0.5
          matcher: without env!="y": sum by (job) (rate(a{job="x"}[5m] offset 1h)) > bool 0.5
          matcher: without job="x": sum by (job) (rate(a{env!="y"}[5m] offset 1h)) > bool 0.5
          comparison: > becomes >=: sum by (job) (rate(a{env!="y",job="x"}[5m] offset 1h)) >= bool 0.5
          comparison: > becomes <: sum by (job) (rate(a{env!="y",job="x"}[5m] offset 1h)) < bool 0.5
          number: 0.5 becomes 1: sum by (job) (rate(a{env!="y",job="x"}[5m] offset 1h)) > bool 1
        max without (a) (max_over_time(b[1h:1m])) * on (job, zone) group_left (a) topk(2, c) >= 0
          label: without loses a: max without () (max_over_time(b[1h:1m])) * on (job, zone) group_left (a) topk(2, c) >= 0
          window: [1h] becomes [30m]: max without (a) (max_over_time(b[30m:1m])) * on (job, zone) group_left (a) topk(2, c) >= 0
          label: on loses job: max without (a) (max_over_time(b[1h:1m])) * on (zone) group_left (a) topk(2, c) >= 0
          label: on loses zone: max without (a) (max_over_time(b[1h:1m])) * on (job) group_left (a) topk(2, c) >= 0
          label: group_left loses a: max without (a) (max_over_time(b[1h:1m])) * on (job, zone) group_left () topk(2, c) >= 0
          number: 2 becomes 4: max without (a) (max_over_time(b[1h:1m])) * on (job, zone) group_left (a) topk(4, c) >= 0
          comparison: >= becomes >: max without (a) (max_over_time(b[1h:1m])) * on (job, zone) group_left (a) topk(2, c) > 0
          comparison: >= becomes <=: max without (a) (max_over_time(b[1h:1m])) * on (job, zone) group_left (a) topk(2, c) <= 0
          number: 0 becomes 1: max without (a) (max_over_time(b[1h:1m])) * on (job, zone) group_left (a) topk(2, c) >= 1
        a or on (job) b and (c <= 1 unless ignoring (zone) d == -1) or e
          arm: without or: a or e
          arm: only the right of or: b and (c <= 1 unless ignoring (zone) d == -1) or e
          label: on loses job: a or on () b and (c <= 1 unless ignoring (zone) d == -1) or e
          arm: without and: a or on (job) b or e
          arm: only the right of and: a or on (job) (c <= 1 unless ignoring (zone) d == -1) or e
          comparison: <= becomes <: a or on (job) b and (c < 1 unless ignoring (zone) d == -1) or e
          comparison: <= becomes >=: a or on (job) b and (c >= 1 unless ignoring (zone) d == -1) or e
          number: 1 becomes 2: a or on (job) b and (c <= 2 unless ignoring (zone) d == -1) or e
          arm: without unless: a or on (job) b and (c <= 1) or e
          label: ignoring loses zone: a or on (job) b and (c <= 1 unless d == -1) or e
          comparison: == becomes !=: a or on (job) b and (c <= 1 unless ignoring (zone) d != -1) or e
          number: -1 becomes -2: a or on (job) b and (c <= 1 unless ignoring (zone) d == -2) or e
          arm: without or #2: a or on (job) b and (c <= 1 unless ignoring (zone) d == -1)
          arm: only the right of or #2: e
        "#);
    }

    #[test]
    fn a_clause_is_shown_with_what_it_is_for() {
        let (_, changes) = changes("rate(a[5m]) > 2 unless on (x) b").unwrap();
        let shown: Vec<_> = changes.iter().map(|change| format!("{}: {}", change.text, change.clause)).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        [5m] becomes [2m30s]: a[5m]
        > becomes >=: rate(a[5m]) > 2
        > becomes <: rate(a[5m]) > 2
        2 becomes 4: rate(a[5m]) > 2
        without unless: unless on (x) b
        on loses x: rate(a[5m]) > 2 unless on (x) b
        ");
    }

    #[test]
    fn what_is_no_change_and_no_expression_is_left_out() {
        for text in ["{job=\"x\"}", "up * Inf", "vector(NaN)", "up[1ms:1ms]"] {
            let (_, changes) = changes(text).unwrap();
            assert!(changes.is_empty(), "{text}: {}", changes[0].text);
        }
        assert_eq!(changes("sum(").err().unwrap().to_string(), "cannot parse it: unclosed left parenthesis");
    }
}
