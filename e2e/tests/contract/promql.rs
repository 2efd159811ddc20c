//! What a query uses: each metric it names must be known, and each label must be one that is there at that point of the
//! query. So a rename in the exporter is found without a Prometheus.

use std::collections::BTreeSet;

use e2e::workspace::promql::matchers;
use promql_parser::label::MatchOp;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    self, AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

use crate::catalogue::{CLUSTER, Catalogue, Labels};

/// What [`check`] found.
#[derive(Debug, Default)]
pub struct Checked {
    /// The labels that the query's result can have.
    pub labels: Labels,
    /// What is wrong, one sentence each; empty when all is well.
    pub problems: Vec<String>,
}

/// Parses a query and follows its labels from the selectors to the result.
pub fn check(query: &str, known: &Catalogue) -> Checked {
    let mut walk = Walk { known, problems: Vec::new(), lost: false };
    let labels = match parser::parse(query) {
        Ok(expr) => walk.labels(&expr),
        Err(reason) => {
            walk.problems.push(format!("`{query}` is not PromQL: {reason}"));
            Labels::new()
        }
    };
    Checked { labels, problems: walk.problems }
}

/// The aggregations that pick series and leave them as they are.
pub fn picks(operator: &str) -> bool {
    matches!(operator, "topk" | "bottomk" | "limitk" | "limit_ratio")
}

struct Walk<'a> {
    known: &'a Catalogue,
    problems: Vec<String>,
    /// A metric was unknown, so that missing labels say nothing any more.
    lost: bool,
}

impl Walk<'_> {
    fn labels(&mut self, expr: &Expr) -> Labels {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Subquery(subquery) => self.labels(&subquery.expr),
            Expr::Paren(paren) => self.labels(&paren.expr),
            Expr::Unary(unary) => self.labels(&unary.expr),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Call(call) => self.call(call),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Labels::new(),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> Labels {
        let Some(name) = &selector.name else {
            self.problems.push(format!("`{selector}` names no metric"));
            return Labels::new();
        };
        let Some(metric) = self.known.metric(name) else {
            self.problems.push(format!("unknown metric `{name}`"));
            self.lost = true;
            return Labels::new();
        };
        for matcher in matchers(selector) {
            if !metric.labels.contains(&matcher.name) {
                let has = list(&metric.labels);
                self.problems.push(format!("unknown label `{}`: `{name}` has {has}", matcher.name));
            } else if let Some(values) = metric.values.get(&matcher.name)
                && matches!(matcher.op, MatchOp::Equal)
                && !values.contains(&matcher.value)
            {
                let (label, value) = (&matcher.name, &matcher.value);
                let known = list(values);
                self.problems.push(format!("unknown value `{value}` of label `{label}`: `{name}` has {known}"));
            }
        }
        metric.labels.clone()
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr) -> Labels {
        let inner = self.labels(&aggregate.expr);
        let operator = aggregate.op.to_string();
        if let Some(modifier) = &aggregate.modifier {
            self.require(&modifier.labels().labels, &inner, &operator);
        }
        if picks(&operator) {
            return inner;
        }
        let mut labels = match &aggregate.modifier {
            None => Labels::new(),
            Some(LabelModifier::Include(by)) => by.labels.iter().cloned().collect(),
            Some(LabelModifier::Exclude(without)) => minus(inner, &without.labels),
        };
        if let ("count_values", Some(Expr::StringLiteral(label))) = (operator.as_str(), aggregate.param.as_deref()) {
            labels.insert(label.val.clone());
        }
        labels
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Labels {
        let (left, right) = (self.labels(&binary.lhs), self.labels(&binary.rhs));
        if binary.lhs.value_type() == ValueType::Scalar {
            return right;
        }
        if binary.rhs.value_type() == ValueType::Scalar {
            return left;
        }
        let operator = binary.op.to_string();
        let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
        match matching {
            Some(LabelModifier::Include(on)) => {
                self.require(&on.labels, &left, &format!("the left side of `{operator}`"));
                self.require(&on.labels, &right, &format!("the right side of `{operator}`"));
            }
            Some(LabelModifier::Exclude(ignoring)) => {
                let either = left.union(&right).cloned().collect();
                self.require(&ignoring.labels, &either, &format!("either side of `{operator}`"));
            }
            None if operator != "or" && left != right && !self.lost => {
                let (left, right) = (list(&left), list(&right));
                self.problems.push(format!("`{operator}` never matches: its left side has {left}, its right {right}"));
            }
            None => {}
        }
        match (operator.as_str(), binary.modifier.as_ref().map(|modifier| &modifier.card)) {
            ("and" | "unless", _) => left,
            ("or", _) => left.union(&right).cloned().collect(),
            (_, Some(VectorMatchCardinality::ManyToOne(from))) => self.grouped(left, &right, &from.labels),
            (_, Some(VectorMatchCardinality::OneToMany(from))) => self.grouped(right, &left, &from.labels),
            _ => match matching {
                Some(LabelModifier::Include(on)) => on.labels.iter().cloned().collect(),
                Some(LabelModifier::Exclude(ignoring)) => minus(left, &ignoring.labels),
                None => left,
            },
        }
    }

    fn grouped(&mut self, mut many: Labels, one: &Labels, from: &[String]) -> Labels {
        self.require(from, one, "the one side of the match");
        many.extend(from.iter().cloned());
        many
    }

    fn call(&mut self, call: &Call) -> Labels {
        let arguments: Vec<&Expr> = call.args.args.iter().map(Box::as_ref).collect();
        let mut labels = Labels::new();
        for argument in &arguments {
            labels.extend(self.labels(argument));
        }
        let text = |index: usize| match arguments.get(index) {
            Some(Expr::StringLiteral(text)) => text.val.clone(),
            _ => String::new(),
        };
        match call.func.name {
            "vector" | "scalar" | "time" => return Labels::new(),
            "absent" | "absent_over_time" => {
                return arguments.first().map_or_else(Labels::new, |argument| pinned(argument));
            }
            "label_replace" => {
                let source = text(3);
                // An empty source is the idiom for a label with a fixed value.
                if !source.is_empty() {
                    self.require(&[source], &labels, "label_replace");
                }
                labels.insert(text(1));
            }
            "label_join" => {
                let sources: Vec<String> = (3..arguments.len()).map(text).collect();
                self.require(&sources, &labels, "label_join");
                labels.insert(text(1));
            }
            "histogram_quantile" => labels = minus(labels, &["le".to_owned()]),
            _ => {}
        }
        labels
    }

    fn require(&mut self, wanted: &[String], there: &Labels, place: &str) {
        // Without several clusters this one is missing everywhere, which is as good as the same.
        let missing = wanted.iter().filter(|label| !there.contains(*label) && *label != CLUSTER);
        for label in missing.filter(|_| !self.lost) {
            self.problems.push(format!("unknown label `{label}`: {place} has {}", list(there)));
        }
    }
}

/// The labels whose values a selector fixes: they are all that `absent` can know.
fn pinned(expr: &Expr) -> Labels {
    let selector = match expr {
        Expr::VectorSelector(selector) => selector,
        Expr::MatrixSelector(matrix) => &matrix.vs,
        Expr::Paren(paren) => return pinned(&paren.expr),
        _ => return Labels::new(),
    };
    matchers(selector).filter(|matcher| matches!(matcher.op, MatchOp::Equal)).map(|m| m.name.clone()).collect()
}

fn minus(mut labels: Labels, gone: &[String]) -> Labels {
    labels.retain(|label| !gone.contains(label));
    labels
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalogue::Metric;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn checked(query: &str) -> Checked {
        let load = Metric {
            labels: set(&["node", "job", "duration"]),
            values: BTreeMap::from([("duration".to_owned(), set(&["1m", "5m"]))]),
        };
        let limit = Metric { labels: set(&["node"]), values: BTreeMap::new() };
        check(query, &Catalogue::from_iter([("load".to_owned(), load), ("limit".to_owned(), limit)]))
    }

    #[test]
    fn labels_are_followed_to_the_result() {
        for (query, labels) in [
            ("load", &["node", "job", "duration"][..]),
            ("max by (node) (load)", &["node"]),
            ("max without (job) (load)", &["node", "duration"]),
            ("count(load == 0) or vector(0)", &[]),
            ("topk(1, load)", &["node", "job", "duration"]),
            ("rate(load[5m]) * 2", &["node", "job", "duration"]),
            ("max by (node) (load{duration=\"1m\"}) > on (node) limit", &["node"]),
            ("load / on (node) group_left limit", &["node", "job", "duration"]),
            ("group by (node) (load) unless on (node) limit", &["node"]),
            ("absent(load{job=\"x\",node=~\"y\"})", &["job"]),
            ("label_replace(vector(1), \"node\", \"a\", \"\", \"\") or 8 * limit", &["node"]),
            ("count_values by (node) (\"value\", load)", &["node", "value"]),
            ("8 * group by (node) (load)", &["node"]),
        ] {
            let checked = checked(query);
            assert_eq!(checked.problems, [""; 0], "{query}");
            assert_eq!(checked.labels, set(labels), "{query}");
        }
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (query, problem) in [
            ("lod", "unknown metric `lod`"),
            ("load{nod=\"a\"}", "unknown label `nod`: `load` has duration, job, node"),
            ("load{duration=\"15m\"}", "unknown value `15m` of label `duration`: `load` has 1m, 5m"),
            ("sum by (pod) (load)", "unknown label `pod`: sum has duration, job, node"),
            ("max by (node) (load) > on (job) limit", "unknown label `job`: the left side of `>` has node"),
            ("load > limit", "`>` never matches: its left side has duration, job, node, its right node"),
            ("label_replace(limit, \"a\", \"$1\", \"b\", \"(.*)\")", "unknown label `b`: label_replace has node"),
            ("{job=\"x\"}", "names no metric"),
            ("load{", "is not PromQL"),
        ] {
            let problems = checked(query).problems;
            assert!(problems.iter().any(|found| found.contains(problem)), "{query}: {problems:?}");
        }
    }
}
