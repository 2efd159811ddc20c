//! What a query consists of.

use promql_parser::label::Matcher;
use promql_parser::parser::{Expr, VectorSelector};

/// Every expression in one, itself first.
pub fn parts(expr: &Expr) -> Vec<&Expr> {
    std::iter::once(expr).chain(children(expr).into_iter().flat_map(parts)).collect()
}

/// The expressions right below one.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(aggregate) => aggregate.param.iter().chain([&aggregate.expr]).map(Box::as_ref).collect(),
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Call(call) => call.args.args.iter().map(Box::as_ref).collect(),
        Expr::Paren(paren) => vec![&paren.expr],
        Expr::Subquery(subquery) => vec![&subquery.expr],
        Expr::Unary(unary) => vec![&unary.expr],
        _ => Vec::new(),
    }
}

/// Every selector in an expression.
pub fn selectors(expr: &Expr) -> impl Iterator<Item = &VectorSelector> {
    parts(expr).into_iter().filter_map(|part| match part {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&matrix.vs),
        _ => None,
    })
}

/// An expression without the parentheses around it.
pub fn bare(expr: &Expr) -> &Expr {
    if let Expr::Paren(paren) = expr { bare(&paren.expr) } else { expr }
}

/// The matchers of a selector but for its name.
pub fn matchers(selector: &VectorSelector) -> impl Iterator<Item = &Matcher> {
    let matchers = &selector.matchers;
    matchers.matchers.iter().chain(matchers.or_matchers.iter().flatten()).filter(|matcher| matcher.name != "__name__")
}
