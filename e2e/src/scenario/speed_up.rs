//! Rules and queries at another speed. Prometheus has no clock to set, so every duration of the rules is divided by the same
//! number as those of the scenario: `for`, `keep_firing_for`, intervals, the windows of range selectors, and offsets. What
//! counts per second is divided by it too. Comparisons with a node's uptime stay, for the uptime in the tree advances with
//! the scenario.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use promql_parser::parser::{self, Call, Expr, Offset, VectorSelector};
use promql_parser::util::parse_duration;
use serde_json::Value;

use crate::workspace::rules::RuleFile;

/// The functions whose result is per second.
const PER_SECOND: [&str; 3] = ["rate", "irate", "deriv"];

/// The functions that read the clock: these always, and the next ones where they have no argument.
const OF_THE_CLOCK: [&str; 2] = ["time", "timestamp"];
const OF_NOW: [&str; 8] =
    ["minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"];

/// The keys of a rule or a group that hold a duration.
const DURATIONS: [&str; 4] = ["for", "keep_firing_for", "interval", "query_offset"];

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

/// Divides every duration of a rule file, and omits the alerts that read the clock; fails for another rule whose result
/// would change.
pub fn rules(file: &RuleFile, speed: u32) -> Result<SpedUp> {
    let (mut groups, mut omitted) = (file.groups.clone(), Vec::new());
    for group in groups.as_array_mut().into_iter().flatten() {
        durations(group, speed)?;
        let Some(rules) = group.get_mut("rules").and_then(Value::as_array_mut) else { continue };
        let all = std::mem::take(rules);
        for mut rule in all {
            let text = |key: &str| rule.get(key).and_then(Value::as_str).map(str::to_owned);
            let (alert, record, expr) = (text("alert"), text("record"), text("expr"));
            let name = alert.clone().or(record).unwrap_or_default();
            let context = || format!("{}: {name:?} cannot be sped up", file.path);
            durations(&mut rule, speed).with_context(context)?;
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

fn durations(object: &mut Value, speed: u32) -> Result<()> {
    for key in DURATIONS {
        let Some(text) = object.get(key).and_then(Value::as_str) else { continue };
        if text.chars().all(|c| c == '0' || c.is_alphabetic()) {
            // The parser refuses a duration of 0.
            continue;
        }
        let duration = parse_duration(text).map_err(|error| anyhow!("`{key}`: {error}"))?;
        object[key] = format!("{}ms", divided(duration, speed)?.as_millis()).into();
    }
    Ok(())
}

/// Returns a query with every duration divided; fails for one whose result would change.
pub fn query(expr: &str, speed: u32) -> Result<String> {
    let mut tree = parse(expr)?;
    divide(&mut tree, speed)?;
    Ok(tree.to_string())
}

/// Divides a duration; fails where a fraction of a millisecond is left.
pub fn divided(duration: Duration, speed: u32) -> Result<Duration> {
    let whole = duration.as_millis().is_multiple_of(speed.into());
    let shown = humantime::format_duration(duration);
    ensure!(whole, "speed {speed} does not divide `{shown}` into whole milliseconds; use e.g. 50, 60 or 100");
    Ok(duration / speed)
}

fn parse(expr: &str) -> Result<Expr> {
    parser::parse(expr).map_err(|error| anyhow!("cannot parse `{expr}`: {error}"))
}

fn divide(expr: &mut Expr, speed: u32) -> Result<()> {
    for child in children(expr) {
        divide(child, speed)?;
    }
    if let Some(selector) = selector(expr) {
        ensure!(selector.at.is_none(), ReadsClock("`@`".to_owned()));
        divide_offset(&mut selector.offset, speed)?;
        let name = selector.name.as_deref();
        ensure!(name != Some("ALERTS_FOR_STATE"), "it uses `ALERTS_FOR_STATE`, whose values are times of the clock");
    }
    match expr {
        Expr::MatrixSelector(matrix) => matrix.range = divided(matrix.range, speed)?,
        Expr::Subquery(subquery) => {
            ensure!(subquery.at.is_none(), ReadsClock("`@`".to_owned()));
            subquery.range = divided(subquery.range, speed)?;
            subquery.step = subquery.step.map(|step| divided(step, speed)).transpose()?;
            divide_offset(&mut subquery.offset, speed)?;
        }
        Expr::Call(call) => {
            if let Some(other) = divide_call(call, speed)? {
                *expr = other;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What stands for a call of a function that depends on the clock.
fn divide_call(call: &mut Call, speed: u32) -> Result<Option<Expr>> {
    let (name, args) = (call.func.name, &mut call.args.args);
    match name {
        _ if OF_THE_CLOCK.contains(&name) || (OF_NOW.contains(&name) && args.is_empty()) => {
            bail!(ReadsClock(format!("`{name}`")))
        }
        "info" => bail!("it uses `info`, which is not supported"),
        "predict_linear" if args.len() == 2 => *args[1] = parse(&format!("({}) / {speed}", args[1]))?,
        _ => {}
    }
    PER_SECOND.contains(&name).then(|| parse(&format!("({call} / {speed})"))).transpose()
}

fn divide_offset(offset: &mut Option<Offset>, speed: u32) -> Result<()> {
    if let Some(Offset::Pos(duration) | Offset::Neg(duration)) = offset {
        *duration = divided(*duration, speed)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
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
            ("max_over_time(x[50s])", "speed 60 does not divide `50s` into whole milliseconds; use e.g. 50, 60 or 100"),
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
        for pair in [r#""interval":"1000ms""#, r#""for":"30000ms""#, r#""keep_firing_for":"0s""#] {
            assert!(divided.contains(pair), "{divided}");
        }
    }
}
