//! Rules and queries at another speed. Prometheus has no clock to set, so every duration of the rules is divided by the same
//! number as those of the test: `for`, `keep_firing_for`, intervals, the windows of range selectors, and offsets. What
//! counts per second is divided by it too, and what reads the clock is told the time of the test, where that is known.

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, ensure};
use promql_parser::parser::{self, AtModifier, Call, Expr, Offset, VectorSelector};
use promql_parser::util::{escape_string, parse_duration, unquote_string};
use regex::{Captures, Regex};
use serde_json::{Map, Value};

use crate::workspace::promql;
use crate::workspace::rules::RuleFile;

/// The functions whose result is per second.
const PER_SECOND: [&str; 3] = ["rate", "irate", "deriv"];

/// The functions that read the clock if they have no argument.
const OF_NOW: [&str; 8] =
    ["minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"];

/// The functions that have no counterpart at another speed: of metadata, and of the times of samples or of the query.
const REFUSED: [&str; 9] = [
    "info",
    "step",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "start",
    "end",
    "range",
];

/// The functions that calculate with durations, so that a result at another speed may differ in its last bits.
const ROUNDED: [&str; 8] = ["rate", "irate", "deriv", "increase", "delta", "predict_linear", "time", "timestamp"];

/// The keys of a rule or a group that hold a duration.
const DURATIONS: [&str; 4] = ["for", "keep_firing_for", "interval", "query_offset"];

/// The waits of Alertmanager's routes, and their defaults.
const WAITS: [(&str, &str); 3] = [("group_wait", "30s"), ("group_interval", "5m"), ("repeat_interval", "4h")];

/// How the time of rules becomes that of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub speed: u32,
    /// When the rules' time is 0, in milliseconds since 1970. Without it what reads the clock is refused.
    pub start: Option<u64>,
}

/// A rule file at another speed.
pub struct SpedUp {
    pub text: String,
    /// The alerts that are not in it, because they read the clock, each with the reason.
    pub omitted: Vec<(String, String)>,
}

/// A query that reads the clock.
#[derive(Debug, thiserror::Error)]
#[error("it uses {0}, and the clock is not sped up")]
struct ReadsClock(String);

/// A duration of which a speed leaves a fraction of a millisecond.
#[derive(Debug, thiserror::Error)]
#[error("speed {speed} does not divide `{}` into whole milliseconds; use e.g. {fits}", humantime::format_duration(*duration))]
pub struct Indivisible {
    duration: Duration,
    speed: u32,
    /// A speed that divides it.
    pub fits: u32,
}

impl Scale {
    /// Returns a query with every duration divided; fails for one whose result would change.
    pub fn query(self, expr: &str) -> Result<String> {
        let mut tree = parse(expr)?;
        self.divide(&mut tree)?;
        Ok(tree.to_string())
    }

    /// Divides the durations of a group or a rule.
    pub fn durations(self, object: &mut Value) -> Result<()> {
        for key in DURATIONS {
            let Some(text) = object.get(key).and_then(Value::as_str) else { continue };
            let duration = duration(text).with_context(|| format!("`{key}`"))?;
            object[key] = format!("{}ms", divided(duration, self.speed)?.as_millis()).into();
        }
        Ok(())
    }

    /// Returns a label's or an annotation's template in which the queries are divided.
    pub fn template(self, text: &str) -> Result<String> {
        let mut error = None;
        let replaced = ACTION.replace_all(text, |action: &Captures| {
            self.action(&action[0]).unwrap_or_else(|reason| {
                error.get_or_insert(reason);
                String::new()
            })
        });
        error.map_or(Ok(replaced.into_owned()), Err)
    }

    fn action(self, action: &str) -> Result<String> {
        let bare = LITERAL.replace_all(action, "");
        let mut error = None;
        let replaced = QUERY.replace_all(action, |call: &Captures| {
            let query = unquote_string(&call[1]).map_err(|error| anyhow!(error));
            let query = query.and_then(|query| self.query(&query)).unwrap_or_else(|reason| {
                error.get_or_insert(reason.context("`query` in its template"));
                String::new()
            });
            format!("query \"{}\"", escape_string(&query))
        });
        let other = QUERY.replace_all(action, "");
        let has_duration = ["[", "offset", "time", "@"].iter().any(|part| other.contains(part));
        ensure!(!PIPED.is_match(&bare) || !has_duration, "its template makes a query with a duration from parts");
        error.map_or(Ok(replaced.into_owned()), Err)
    }

    fn divide(self, expr: &mut Expr) -> Result<()> {
        for child in children(expr) {
            self.divide(child)?;
        }
        if let Some(selector) = selector(expr) {
            self.divide_at(&mut selector.at)?;
            self.divide_offset(&mut selector.offset)?;
            ensure!(
                !may_select(selector, "ALERTS_FOR_STATE"),
                "it uses `ALERTS_FOR_STATE`, whose values are times of the clock"
            );
        }
        match expr {
            Expr::MatrixSelector(matrix) => matrix.range = divided(matrix.range, self.speed)?,
            Expr::Subquery(subquery) => {
                self.divide_at(&mut subquery.at)?;
                subquery.range = divided(subquery.range, self.speed)?;
                subquery.step = subquery.step.map(|step| divided(step, self.speed)).transpose()?;
                self.divide_offset(&mut subquery.offset)?;
            }
            Expr::Call(call) => {
                if let Some(other) = self.divide_call(call)? {
                    *expr = other;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What stands for a call of a function that depends on the clock.
    fn divide_call(self, call: &mut Call) -> Result<Option<Expr>> {
        let name = call.func.name;
        ensure!(!REFUSED.contains(&name), "it uses `{name}`, which is not supported");
        let reads_clock = || ReadsClock(format!("`{name}`"));
        let other = match name {
            "time" => self.now().with_context(reads_clock)?,
            "timestamp" => self.time_of(&call.to_string()).with_context(reads_clock)?,
            _ if OF_NOW.contains(&name) && call.args.is_empty() => {
                format!("{name}(vector({}))", self.now().with_context(reads_clock)?)
            }
            "predict_linear" if call.args.len() == 2 => {
                *call.args.args[1] = parse(&format!("({}) / {}", call.args.args[1], self.speed))?;
                return Ok(None);
            }
            _ if PER_SECOND.contains(&name) => format!("({call} / {})", self.speed),
            _ => return Ok(None),
        };
        parse(&other).map(Some)
    }

    /// The rules' time, as a scalar.
    fn now(self) -> Option<String> {
        Some(format!("scalar({})", self.time_of("vector(time())")?))
    }

    /// The rules' time at a time of the clock, rounded to a millisecond.
    fn time_of(self, clock: &str) -> Option<String> {
        let start = self.start?;
        Some(format!("round(({clock} - {}.{:03}) * {}, 0.001)", start / 1000, start % 1000, self.speed))
    }

    fn divide_at(self, at: &mut Option<AtModifier>) -> Result<()> {
        let Some(AtModifier::At(time)) = at else { return Ok(()) };
        let start = self.start.with_context(|| ReadsClock("`@`".to_owned()))?;
        let since = time.duration_since(UNIX_EPOCH).context("`@` with a time before 0")?;
        *time = UNIX_EPOCH + Duration::from_millis(start) + divided(since, self.speed)?;
        Ok(())
    }

    fn divide_offset(self, offset: &mut Option<Offset>) -> Result<()> {
        if let Some(Offset::Pos(duration) | Offset::Neg(duration)) = offset {
            *duration = divided(*duration, self.speed)?;
        }
        Ok(())
    }
}

/// Divides every duration of a rule file, and omits the alerts that read the clock; fails for another rule whose result
/// would change.
pub fn rules(file: &RuleFile, speed: u32) -> Result<SpedUp> {
    let (mut groups, mut omitted) = (file.groups.clone(), Vec::new());
    let scale = Scale { speed, start: None };
    for group in groups.as_array_mut().into_iter().flatten() {
        scale.durations(group)?;
        let Some(rules) = group.get_mut("rules").and_then(Value::as_array_mut) else { continue };
        let all = std::mem::take(rules);
        for mut rule in all {
            let text = |key: &str| rule.get(key).and_then(Value::as_str).map(str::to_owned);
            let (alert, record, expr) = (text("alert"), text("record"), text("expr"));
            let name = alert.clone().or(record).unwrap_or_default();
            let context = || format!("{}: {name:?} cannot be sped up", file.path);
            scale.durations(&mut rule).with_context(context)?;
            match query(&expr.unwrap_or_default(), speed) {
                Ok(expr) => rule["expr"] = expr.into(),
                Err(error) if alert.is_some() && error.is::<ReadsClock>() => {
                    omitted.push((name, error.to_string()));
                    continue;
                }
                Err(error) => return Err(error.context(context())),
            }
            rules.push(rule);
        }
    }
    Ok(SpedUp { text: serde_json::json!({ "groups": groups }).to_string(), omitted })
}

/// Divides the waits of an Alertmanager's configuration, those of its root where they are not set, too.
pub fn alertmanager(config: &Value, speed: u32) -> Result<Value> {
    let mut config = config.clone();
    let root = config["route"].as_object_mut().context("no `route`")?;
    for (wait, default) in WAITS {
        root.entry(wait).or_insert_with(|| default.into());
    }
    divide_waits(root, speed)?;
    Ok(config)
}

/// Divides the waits of a route and of those below it. A fraction of a millisecond makes no difference to a wait.
fn divide_waits(route: &mut Map<String, Value>, speed: u32) -> Result<()> {
    for (wait, _) in WAITS {
        let Some(text) = route.get(wait).and_then(Value::as_str) else { continue };
        let divided = duration(text).with_context(|| format!("`{wait}` of a route"))? / speed;
        route.insert(wait.to_owned(), format!("{}ms", divided.as_millis()).into());
    }
    let routes = route.get_mut("routes").and_then(Value::as_array_mut);
    routes.into_iter().flatten().filter_map(Value::as_object_mut).try_for_each(|route| divide_waits(route, speed))
}

/// Returns a query with every duration divided; fails for one whose result would change.
pub fn query(expr: &str, speed: u32) -> Result<String> {
    Scale { speed, start: None }.query(expr)
}

/// Reads a duration, which may be 0.
pub fn duration(text: &str) -> Result<Duration> {
    if text.starts_with('0') && text.chars().all(|c| c == '0' || c.is_alphabetic()) {
        // The parser refuses a duration of 0.
        return Ok(Duration::ZERO);
    }
    parse_duration(text).map_err(|error| anyhow!("invalid duration `{text}`: {error}"))
}

/// Divides a duration; fails where a fraction of a millisecond is left.
pub fn divided(duration: Duration, speed: u32) -> Result<Duration> {
    let is_whole = |speed: &u32| duration.as_millis().is_multiple_of((*speed).into());
    if !is_whole(&speed) {
        let fits = (1..speed).rev().find(is_whole).unwrap_or(1);
        return Err(Indivisible { duration, speed, fits }.into());
    }
    Ok(duration / speed)
}

/// Parses a query.
pub fn parse(expr: &str) -> Result<Expr> {
    parser::parse(expr).map_err(|error| anyhow!("cannot parse `{expr}`: {error}"))
}

/// Whether a query calculates with durations, so that its result at another speed may differ in its last bits.
pub fn is_rounded(query: &Expr) -> bool {
    let calls = |expr: &Expr| matches!(expr, Expr::Call(call) if ROUNDED.contains(&call.func.name));
    promql::parts(query).into_iter().any(calls)
}

/// Whether a template makes a query.
pub fn uses_query(template: &str) -> bool {
    ACTION.find_iter(template).any(|action| QUERY.is_match(action.as_str()) || PIPED.is_match(action.as_str()))
}

/// Whether a template uses the external URL.
pub fn uses_url(template: &str) -> bool {
    ["externalURL", "ExternalURL", "pathPrefix"].iter().any(|name| template.contains(name))
}

/// Whether a selector finds series of this metric by its name or by a pattern of names.
pub fn may_select(selector: &VectorSelector, metric: &str) -> bool {
    let matchers = &selector.matchers;
    let all = matchers.matchers.iter().chain(matchers.or_matchers.iter().flatten());
    let of_name: Vec<_> = all.filter(|matcher| matcher.name == "__name__").collect();
    match &selector.name {
        Some(name) => name == metric,
        None => !of_name.is_empty() && of_name.iter().all(|matcher| matcher.is_match(metric)),
    }
}

/// The selector that an expression is.
pub fn selector(expr: &mut Expr) -> Option<&mut VectorSelector> {
    match expr {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&mut matrix.vs),
        _ => None,
    }
}

/// The expressions right below one.
pub fn children(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Aggregate(aggregate) => {
            [Some(&mut aggregate.expr), aggregate.param.as_mut()].into_iter().flatten().map(|it| &mut **it).collect()
        }
        Expr::Unary(unary) => vec![&mut unary.expr],
        Expr::Binary(binary) => vec![&mut binary.lhs, &mut binary.rhs],
        Expr::Paren(paren) => vec![&mut paren.expr],
        Expr::Subquery(subquery) => vec![&mut subquery.expr],
        Expr::Call(call) => call.args.args.iter_mut().map(|it| &mut **it).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

/// An action of a template.
static ACTION: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\{\{(?:"(?:[^"\\]|\\.)*"|`[^`]*`|[^"`])*?\}\}"#));

/// A text in an action.
static LITERAL: LazyLock<Regex> = LazyLock::new(|| pattern(r#""(?:[^"\\]|\\.)*"|`[^`]*`"#));

/// A call of the function `query` with a text.
static QUERY: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\bquery\s+("(?:[^"\\]|\\.)*"|`[^`]*`)"#));

/// A call of the function `query` with something else.
static PIPED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\|\s*query\b|\bquery\s+[(.$]"));

#[expect(clippy::expect_used, reason = "it is written here")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_divided_and_nothing_else_is() {
        for (expr, divided) in [
            (
                "resets(node_uptime[1h]) > 0 and node_uptime < 1800",
                "resets(node_uptime[1m]) > 0 and node_uptime < 1800",
            ),
            ("max_over_time(up[1h:5m] offset 1h30m)", "max_over_time(up[1m:5s] offset 1m30s)"),
            (r#"up{a="[1h] offset 1h",b="x'[1h]'"} offset -5m"#, r#"up{a="[1h] offset 1h",b="x'[1h]'"} offset -5s"#),
            ("180 * 86400 * group by (node) (up)", "180 * 86400 * group by (node) (up)"),
            // An apostrophe in a comment begins no string.
            ("# don't\nresets(node_uptime[1h])", "resets(node_uptime[1m])"),
            ("sum(rate(a[5m])) > 1", "sum((rate(a[5s]) / 60)) > 1"),
            ("predict_linear(a[1h], 4 * 3600)", "predict_linear(a[1m], (4 * 3600) / 60)"),
        ] {
            assert_eq!(query(expr, 60).unwrap(), divided);
        }
        assert_eq!(query("resets(node_uptime[1h]) > 0", 1).unwrap(), "resets(node_uptime[1h]) > 0");
    }

    #[test]
    fn what_reads_the_clock_is_told_the_time_of_the_test() {
        let scale = Scale { speed: 250, start: Some(1_000_240) };
        let shown: Vec<String> = [
            "time() - x > 600",
            "timestamp(x offset 5m)",
            "hour() > 8 and on () day_of_week(x) == 0",
            "x @ 60 + sum_over_time(x[1h:5m] @ 0)",
            "x @ end()",
            "irate(x[5m]) + deriv(x[5m]) + increase(x[5m])",
        ]
        .map(|expr| scale.query(expr).unwrap())
        .into();
        insta::assert_snapshot!(shown.join("\n"), @"
        scalar(round((vector(time()) - 1000.24) * 250, 0.001)) - x > 600
        round((timestamp(x offset 1s200ms) - 1000.24) * 250, 0.001)
        hour(vector(scalar(round((vector(time()) - 1000.24) * 250, 0.001)))) > 8 and on () day_of_week(x) == 0
        x @ 1000.480 + sum_over_time(x[14s400ms:1s200ms] @ 1000.240)
        x @ end()
        (irate(x[1s200ms]) / 250) + (deriv(x[1s200ms]) / 250) + increase(x[1s200ms])
        ");
    }

    #[test]
    fn a_query_in_a_template_is_divided() {
        let scale = Scale { speed: 60, start: Some(0) };
        let template = |text: &str| scale.template(text).map_err(|error| format!("{error:#}"));
        let shown: Vec<String> = [
            "{{ $value }} in [5m], query \"x[5m]\"",
            r#"{{ with query "sum(rate(x{a='b'}[5m]))" }}{{ . | first | value | printf "%.2f [5m]" }}{{ end }}"#,
            "{{ range query `x offset 5m` }}{{ .Value }}{{ end }}",
            r#"{{ printf "x{a='%s'}" $labels.a | query | first }}"#,
            r#"{{ printf "x{a='%s'}[5m]" $labels.a | query | first }}"#,
            r#"{{ query "x @" }}"#,
        ]
        .map(|text| template(text).unwrap_or_else(|error| format!("refused: {error}")))
        .into();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        {{ $value }} in [5m], query "x[5m]"
        {{ with query "sum((rate(x{a=\"b\"}[5s]) / 60))" }}{{ . | first | value | printf "%.2f [5m]" }}{{ end }}
        {{ range query "x offset 5s" }}{{ .Value }}{{ end }}
        {{ printf "x{a='%s'}" $labels.a | query | first }}
        refused: its template makes a query with a duration from parts
        refused: `query` in its template: cannot parse `x @`: unexpected end of input in @, expected timestamp
        "#);
    }

    fn sped_up(kind: &str, expr: &str) -> Result<SpedUp> {
        let text = serde_json::json!({ "groups": [{ "name": "g", "rules": [{ kind: "A", "expr": expr }] }] });
        rules(&RuleFile::parse("x.yml", &text.to_string()).unwrap(), 60)
    }

    #[test]
    fn an_alert_that_reads_the_clock_is_omitted_with_the_reason() {
        let omitted = sped_up("alert", "time() - x > 1").unwrap();
        assert!(!omitted.text.contains("time"), "{}", omitted.text);
        let reason = "it uses `time`, and the clock is not sped up";
        assert_eq!(omitted.omitted, [("A".to_owned(), reason.to_owned())]);
    }

    #[test]
    fn a_rule_that_cannot_be_sped_up_is_refused_with_the_reason() {
        let refused = |expr: &str| format!("{:#}", sped_up("record", expr).err().unwrap());
        for (expr, reason) in [
            ("time() - x > 1", "it uses `time`, and the clock is not sped up"),
            ("hour() > 8", "it uses `hour`, and the clock is not sped up"),
            ("x @ 0", "it uses `@`, and the clock is not sped up"),
            ("ALERTS_FOR_STATE > 0", "it uses `ALERTS_FOR_STATE`, whose values are times of the clock"),
            ("max_over_time(x[50s])", "speed 60 does not divide `50s` into whole milliseconds; use e.g. 50"),
            ("sum(", "cannot parse `sum(`: "),
        ] {
            let error = refused(expr);
            assert!(error.starts_with(&format!("x.yml: \"A\" cannot be sped up: {reason}")), "{error}");
        }
        assert!(query("up == on (time) rate", 60).is_ok(), "a label is no function");
        assert!(query("hour(x) > 8", 60).is_ok(), "a time that is no clock's");
    }

    #[test]
    fn the_durations_of_groups_and_rules_are_divided() {
        let text = "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: up, for: 30m, keep_firing_for: 0s}]}]";
        let divided = rules(&RuleFile::parse("x.yml", text).unwrap(), 60).unwrap().text;
        for pair in [r#""interval":"1000ms""#, r#""for":"30000ms""#, r#""keep_firing_for":"0ms""#] {
            assert!(divided.contains(pair), "{divided}");
        }
    }
    #[test]
    fn the_waits_of_every_route_are_divided() {
        let route = |waits: Value| json!({ "route": waits });
        let sped_up = |waits: Value| alertmanager(&route(waits), 60).map_err(|error| format!("{error:#}"));
        let waits = json!({ "group_wait": "0s", "routes": [{ "group_interval": "1m30s" }, { "routes": [{ "repeat_interval": "4d" }] }] });
        let expected = json!({ "group_wait": "0ms", "group_interval": "5000ms", "repeat_interval": "240000ms",
            "routes": [{ "group_interval": "1500ms" }, { "routes": [{ "repeat_interval": "5760000ms" }] }] });
        assert_eq!(sped_up(waits), Ok(route(expected)));
        let error = sped_up(json!({ "routes": [{ "group_wait": "soon" }] })).unwrap_err();
        assert!(error.starts_with("`group_wait` of a route: invalid duration `soon`"), "{error}");
    }
}
