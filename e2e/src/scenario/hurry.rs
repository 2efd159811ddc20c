//! Time that passes faster. Prometheus has no clock to wind, so every duration of the rules is divided by the same number
//! as those of the scenario: `for`, `keep_firing_for`, the windows of range selectors, and offsets. What a rule compares
//! with a node's uptime stays, for the uptime in the tree advances with the scenario.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::workspace::rules::RuleFile;

/// The functions whose result depends on how fast time passes, each with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("rate", "a rate is per second"),
    ("irate", "a rate is per second"),
    ("deriv", "a derivative is per second"),
    ("predict_linear", "it looks ahead in seconds"),
    ("time", "the clock goes at its own pace"),
    ("timestamp", "the clock goes at its own pace"),
    ("count_over_time", "it counts scrapes"),
    ("sum_over_time", "it adds up scrapes"),
];

/// The keys of a rule or a group that hold a duration.
const DURATIONS: [&str; 3] = ["for", "keep_firing_for", "interval"];

/// A rule file with every duration divided; fails for a rule whose result would change by that.
pub fn rules(file: &RuleFile, speed: u32) -> Result<String> {
    let mut groups = file.groups.clone();
    for group in groups.as_array_mut().into_iter().flatten() {
        durations(group, speed)?;
        for rule in group.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
            let name = rule.get("alert").or_else(|| rule.get("record")).map(ToString::to_string).unwrap_or_default();
            durations(rule, speed).with_context(|| name.clone())?;
            if let Some(expr) = rule.get("expr").and_then(Value::as_str) {
                let divided = query(expr, speed).with_context(|| format!("{}: {name} cannot be hurried", file.path))?;
                rule["expr"] = divided.into();
            }
        }
    }
    Ok(serde_json::json!({ "groups": groups }).to_string())
}

fn durations(object: &mut Value, speed: u32) -> Result<()> {
    for key in DURATIONS {
        if let Some(text) = object.get(key).and_then(Value::as_str) {
            object[key] = divide(text, speed).with_context(|| format!("`{key}`"))?.into();
        }
    }
    Ok(())
}

/// A query whose windows and offsets are divided.
pub fn query(expr: &str, speed: u32) -> Result<String> {
    let mut divided = String::with_capacity(expr.len());
    let mut rest = expr;
    let mut after_offset = false;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' | '`' => quoted(rest, first),
            '[' => rest.find(']').context("a `[` without a `]`")? + 1,
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, left) = rest.split_at(length);
        if let Some(window) = token.strip_prefix('[').and_then(|token| token.strip_suffix(']')) {
            let parts =
                window.split(':').map(|part| if part.is_empty() { Ok(String::new()) } else { divide(part, speed) });
            divided.extend(["[", &parts.collect::<Result<Vec<_>>>()?.join(":"), "]"]);
        } else if is_word(first) {
            let called = left.trim_start().starts_with('(');
            if let Some((name, reason)) = REFUSED.iter().find(|(name, _)| called && *name == token) {
                bail!("it uses `{name}`, and {reason}");
            }
            divided.push_str(&if after_offset { divide(token, speed)? } else { token.to_owned() });
            after_offset = token == "offset";
        } else {
            divided.push_str(token);
        }
        rest = left;
    }
    Ok(divided)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The length of a quoted text, its quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn divide(text: &str, speed: u32) -> Result<String> {
    let duration: Duration =
        humantime::parse_duration(text.trim()).with_context(|| format!("`{text}` is no duration"))?;
    Ok(format!("{}ms", (duration / speed).as_millis().max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_offsets_are_divided_and_nothing_else_is() {
        for (expr, divided) in [
            (
                "resets(node_uptime[1h]) > 0 and node_uptime < 1800",
                "resets(node_uptime[60000ms]) > 0 and node_uptime < 1800",
            ),
            ("max_over_time(up[1h:5m] offset 1h30m)", "max_over_time(up[60000ms:5000ms] offset 90000ms)"),
            (r#"up{a="[1h] offset 1h", b='x\'[1h]'}[5m:]"#, r#"up{a="[1h] offset 1h", b='x\'[1h]'}[5000ms:]"#),
            ("180 * 86400 * group by (node) (up)", "180 * 86400 * group by (node) (up)"),
        ] {
            assert_eq!(query(expr, 60).unwrap(), divided);
        }
    }

    #[test]
    fn a_rule_that_knows_the_pace_is_refused_with_the_reason() {
        let text = "groups: [{name: g, rules: [{alert: A, expr: 'rate(node_uptime[5m]) > 1'}]}]";
        let error = format!("{:#}", rules(&RuleFile::parse("x.yml", text).unwrap(), 60).unwrap_err());
        assert_eq!(error, "x.yml: \"A\" cannot be hurried: it uses `rate`, and a rate is per second");
        assert!(query("up == on (time) rate", 60).is_ok(), "a label is no function");
    }

    #[test]
    fn what_a_rule_waits_for_is_divided() {
        let text = "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: up, for: 30m, keep_firing_for: 5m}]}]";
        let divided = rules(&RuleFile::parse("x.yml", text).unwrap(), 60).unwrap();
        for pair in [r#""interval":"1000ms""#, r#""for":"30000ms""#, r#""keep_firing_for":"5000ms""#] {
            assert!(divided.contains(pair), "{divided}");
        }
    }
}
