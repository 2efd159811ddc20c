//! `rules-find-series`: every selector in every rule finds a series, unless its author says that it may find none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, VectorSelector};

use super::report::Outcome;
use super::{FIRST_SAMPLE, NO_RULES, Subject};
use crate::client::prometheus::{Prometheus, Sample};
use crate::terminal::out;
use crate::workspace::promql::{bare, children, matchers, parts};
use crate::workspace::rules::{Rule, RuleFile};

/// How pint names this check in its comments.
const PINT: &str = "promql/series";

/// The functions that are there for series that are missing.
const ABSENT: [&str; 2] = ["absent", "absent_over_time"];

/// The series that Prometheus makes of alerts.
const ALERTS: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// No selector finds nothing.
pub(super) fn rules_find_series(subject: Subject<'_>) -> Outcome {
    if subject.project.rules.is_empty() {
        return NO_RULES;
    }
    let rules: Vec<&Rule> = subject.project.rules.iter().flat_map(RuleFile::rules).collect();
    let asked = asked(&rules);
    if asked.selectors.is_empty() && asked.excused == 0 {
        return match asked.unread.first() {
            Some(unread) => Outcome::Skipped { reason: unread.clone() },
            None => Outcome::Omitted { reason: "no selector in the rules has to find a series" },
        };
    }
    run(subject, &rules, asked).into()
}

fn run(subject: Subject<'_>, rules: &[&Rule], asked: Asked) -> Result<(String, Vec<String>)> {
    let Asked { selectors, excused, unread } = asked;
    let prometheus = &subject.stack().prometheus;
    let mut missing: Vec<&Selector> = selectors.values().collect();
    subject.poll("a series for every selector", FIRST_SAMPLE, || {
        let known = Known::ask(prometheus, rules)?;
        let mut findings = Vec::new();
        for selector in std::mem::take(&mut missing) {
            if let Some(reason) = why_missing(selector, &known, &|query| prometheus.query(query))? {
                findings.push(format!("{selector} in {}: {reason}", super::few(&selector.rules)));
                missing.push(selector);
            }
        }
        let count = out::count(findings.len(), "selector finds", "selectors find");
        if findings.is_empty() { Ok(()) } else { bail!("{count} no series:\n  {}", findings.join("\n  ")) }
    })?;
    let found = out::count(selectors.len(), "selector", "selectors");
    let rules = out::count(rules.len(), "rule", "rules");
    Ok((format!("{found} of {rules} found; {excused} excused by comments"), unread))
}

/// A selector, and the rules that have it.
struct Selector {
    series: VectorSelector,
    /// The shortest of its ranges; none where it has to find something now.
    range: Option<Duration>,
    rules: BTreeSet<String>,
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.series)
    }
}

/// What is asked of the rules' selectors.
struct Asked {
    selectors: BTreeMap<String, Selector>,
    /// How many are not, because of comments.
    excused: usize,
    /// The rules that cannot be read here, although Prometheus may read them.
    unread: Vec<String>,
}

fn asked(rules: &[&Rule]) -> Asked {
    let mut asked = Asked { selectors: BTreeMap::new(), excused: 0, unread: Vec::new() };
    for rule in rules {
        let Ok(expr) = parser::parse(&rule.expr) else {
            asked.unread.push(format!("not checked: `{}`, whose syntax is unknown here", rule.name()));
            continue;
        };
        for (mut selector, range) in wanted(&expr) {
            if is_excused(rule, &selector) {
                asked.excused += 1;
                continue;
            }
            let written = selector.clone();
            selector.matchers.matchers.retain(|matcher| !has_excused_value(rule, &written, matcher));
            let known = asked.selectors.entry(selector.to_string());
            let known = known.or_insert_with(|| Selector { series: selector, range, rules: BTreeSet::new() });
            known.range = known.range.min(range);
            known.rules.insert(rule.name().to_owned());
        }
    }
    asked
}

/// The selectors in an expression that have to find something, without offset and time. Those in `absent`, those that
/// a part without series stands in for, and those whose absence is asked for by `unless` need not.
fn wanted(expr: &Expr) -> Vec<(VectorSelector, Option<Duration>)> {
    let plain = |selector: &VectorSelector| VectorSelector { offset: None, at: None, ..selector.clone() };
    let has_series =
        |expr| parts(expr).iter().any(|part| matches!(part, Expr::VectorSelector(_) | Expr::MatrixSelector(_)));
    let below = match expr {
        Expr::VectorSelector(selector) => return vec![(plain(selector), None)],
        Expr::MatrixSelector(matrix) => return vec![(plain(&matrix.vs), Some(matrix.range))],
        Expr::Call(call) if ABSENT.contains(&call.func.name) => Vec::new(),
        Expr::Binary(binary) => {
            let is_compared = matches!(bare(&binary.rhs), Expr::Binary(rhs) if rhs.op.is_comparison_operator());
            match binary.op.to_string().as_str() {
                "or" if !has_series(&binary.rhs) => Vec::new(),
                "unless" if !is_compared => vec![&*binary.lhs],
                _ => children(expr),
            }
        }
        _ => children(expr),
    };
    below.into_iter().flat_map(wanted).collect()
}

/// Whether a comment for pint says that a selector may find nothing.
fn is_excused(rule: &Rule, selector: &VectorSelector) -> bool {
    rule.comments.iter().any(|comment| {
        let disabled = comment.strip_prefix("disable ").and_then(|what| what.trim().strip_prefix(PINT));
        comment.starts_with("ignore/file") || disabled.is_some_and(|of| of.is_empty() || is_named(of, selector))
    })
}

/// Whether a comment for pint says that a label may not have the value that a matcher asks for.
fn has_excused_value(rule: &Rule, selector: &VectorSelector, matcher: &Matcher) -> bool {
    rule.comments.iter().any(|comment| {
        let set = || {
            let (of, label) =
                comment.strip_prefix("rule/set ")?.trim().strip_prefix(PINT)?.split_once(" ignore/label-value ")?;
            Some((of.trim().is_empty() || is_named(of.trim(), selector)) && label.trim() == matcher.name)
        };
        set().unwrap_or(false)
    })
}

/// Whether a selector is the one in parentheses, or has all of its matchers.
fn is_named(in_parentheses: &str, selector: &VectorSelector) -> bool {
    let Some(named) = in_parentheses.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return false };
    let Ok(Expr::VectorSelector(named)) = parser::parse(named) else { return false };
    let has = |wanted: &Matcher| selector.matchers.matchers.contains(wanted);
    (named.name.is_none() || named.name == selector.name) && named.matchers.matchers.iter().all(has)
}

/// What there is.
struct Known {
    metrics: BTreeSet<String>,
    /// The alerts and the recorded metrics, of the project and of Prometheus.
    rules: BTreeSet<String>,
}

impl Known {
    fn ask(prometheus: &Prometheus, rules: &[&Rule]) -> Result<Self> {
        let own = rules.iter().map(|rule| rule.name().to_owned());
        let loaded = prometheus.rules()?.into_iter().flat_map(|group| group.rules).map(|rule| rule.name);
        Ok(Self {
            metrics: prometheus.label_values("__name__")?.into_iter().collect(),
            rules: own.chain(loaded).collect(),
        })
    }
}

/// Why a selector finds nothing; `None` where it finds something, or a rule makes what it selects.
fn why_missing(
    wanted: &Selector,
    known: &Known,
    query: &dyn Fn(&str) -> Result<Vec<Sample>>,
) -> Result<Option<String>> {
    let selector = &wanted.series;
    let by_name = |matcher: &&Matcher| matcher.name == "__name__" && matches!(matcher.op, MatchOp::Equal);
    let named = selector.matchers.matchers.iter().find(by_name).map(|matcher| matcher.value.as_str());
    let name = selector.name.as_deref().or(named);
    if let Some(name) = name.filter(|name| ALERTS.contains(name)) {
        let mut of_name = matchers(selector).filter(|matcher| matcher.name == "alertname" && asks(matcher));
        let unknown = of_name.find(|matcher| !known.rules.iter().any(|rule| matcher.is_match(rule)));
        return Ok(unknown.map(|matcher| format!("no rule has {matcher}, of which `{name}` would be")));
    }
    if let Some(name) = name.filter(|name| !known.metrics.contains(*name)) {
        return Ok((!known.rules.contains(name)).then(|| unknown("metric", name, known.metrics.iter())));
    }
    // What a selector leaves out is no reason to find something.
    let asking: Vec<&Matcher> = selector.matchers.matchers.iter().filter(|matcher| asks(matcher)).collect();
    let text = asking.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let range = wanted.range.map(|range| format!("[{}ms]", range.as_millis())).unwrap_or_default();
    let series = format!("{}{{{text}}}{range}", selector.name.as_deref().unwrap_or_default());
    let series = if range.is_empty() { series } else { format!("last_over_time({series})") };
    if !query(&format!("count({series})"))?.is_empty() {
        return Ok(None);
    }
    let Some(name) = name else { return Ok(Some("no series".to_owned())) };
    if query(&format!("count({name})"))?.is_empty() {
        return Ok((!known.rules.contains(name)).then(|| format!("no series of `{name}` any more")));
    }
    for matcher in asking.iter().filter(|matcher| matcher.name != "__name__") {
        let label = &matcher.name;
        let samples = query(&format!("group by ({label}) ({name})"))?;
        let values: BTreeSet<String> = samples.iter().map(|sample| sample.label(label).to_owned()).collect();
        if !values.iter().any(|value| matcher.is_match(value)) {
            return Ok(Some(no_value(name, matcher, values)));
        }
    }
    Ok(Some(format!("no series of `{name}` has all of this")))
}

/// Whether a matcher asks for something: one that a missing label fits does not.
fn asks(matcher: &Matcher) -> bool {
    matches!(matcher.op, MatchOp::Equal | MatchOp::Re(_)) && !matcher.is_match("")
}

fn no_value(name: &str, matcher: &Matcher, mut values: BTreeSet<String>) -> String {
    values.remove("");
    if values.is_empty() {
        return format!("no series of `{name}` has a label `{}`", matcher.name);
    }
    let nearest = out::nearest(&matcher.value, values.iter().map(String::as_str)).map(str::to_owned);
    let others = values.iter().filter(|value| Some(*value) != nearest.as_ref());
    let listed: Vec<&String> = nearest.iter().chain(others).collect();
    format!("no series of `{name}` has {matcher}; `{}` is {}", matcher.name, super::few(listed))
}

fn unknown<'n>(kind: &str, name: &str, names: impl Iterator<Item = &'n String>) -> String {
    let mut text = format!("no {kind} `{name}`");
    if let Some(nearest) = out::nearest(name, names.map(String::as_str)) {
        let _ = write!(text, "; the nearest is `{nearest}`");
    }
    text
}
