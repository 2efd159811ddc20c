//! Grafana's variables and macros in a query, filled in, so that what is left is what Prometheus takes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

/// What each variable stands for.
pub type Values = BTreeMap<String, String>;

/// The scrape interval that Grafana assumes by default.
pub const SCRAPE_INTERVAL: Duration = Duration::from_secs(15);

/// The step of a graph of some minutes: a stack that has been up for seconds has no samples at whole minutes.
const STEP: Duration = Duration::from_secs(5);

/// The macros that Grafana itself fills in, for a graph of the last hour: `$__interval` is at least the scrape interval
/// and `least`, times the query's factor, and `$__rate_interval` spans four scrapes at least.
pub fn built_in(scrape_interval: Duration, least: Duration, factor: u32) -> Values {
    let interval = STEP.max(scrape_interval).max(least);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let rate_interval = (interval + scrape_interval).max(4 * scrape_interval);
    [
        ("__interval", format!("{}ms", (interval * factor).as_millis())),
        ("__interval_ms", (interval * factor).as_millis().to_string()),
        ("__rate_interval", format!("{}ms", rate_interval.as_millis())),
        ("__rate_interval_ms", rate_interval.as_millis().to_string()),
        ("__from", (now - 3_600_000).to_string()),
        ("__to", now.to_string()),
        ("__dashboard", String::new()),
        ("__org", "1".to_owned()),
        ("__user", String::new()),
        ("__range", "1h".to_owned()),
        ("__range_s", "3600".to_owned()),
        ("__range_ms", "3600000".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Fills in `$name`, `${name}`, `${name:format}` and `[[name]]`. Any other `$`, as in a regular expression, stays.
pub fn fill(text: &str, values: &Values) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '[']) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, after)) = variable(rest) {
            let value = values.get(name).or_else(|| values.get(base(name)));
            filled.push_str(value.with_context(|| format!("unknown variable `${}`", base(name)))?);
            rest = after;
        } else {
            filled.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    Ok(filled + rest)
}

/// The name under which a variable has a value in a format.
pub fn formatted(name: &str, format: &str) -> String {
    if format.is_empty() { name.to_owned() } else { format!("{name}:{format}") }
}

/// The variable in a name with a format or a field, such as `node:raw` or `__user.login`.
pub fn base(name: &str) -> &str {
    name.split([':', '.']).next().unwrap_or_default()
}

/// The name of the variable at the text's start, with its format, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    for (open, close) in [("${", "}"), ("[[", "]]")] {
        if let Some(inner) = text.strip_prefix(open) {
            let (name, after) = inner.split_once(close)?;
            return is_name(base(name)).then_some((name, after));
        }
    }
    let inner = text.strip_prefix('$')?;
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    is_name(&inner[..end]).then(|| inner.split_at(end))
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && text.starts_with(|c: char| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_filled_and_other_dollars_stay() {
        let built_in = built_in(SCRAPE_INTERVAL, Duration::ZERO, 1);
        let own = [("node", ".+"), ("node:raw", "a,b")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let values = built_in.into_iter().chain(own).collect();
        for (text, filled) in [
            ("up{node=~\"$node\"}", "up{node=~\".+\"}"),
            ("up{node=~\"${node:regex}|[[node]]\"}", "up{node=~\".+|.+\"}"),
            ("up{node=~\"${node:raw}\",org=\"${__org.id}\"}", "up{node=~\"a,b\",org=\"1\"}"),
            ("rate(x[$__rate_interval])", "rate(x[60000ms])"),
            ("up{a=~\"b$\"}[5m]", "up{a=~\"b$\"}[5m]"),
            ("label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")", "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")"),
        ] {
            assert_eq!(fill(text, &values).unwrap(), filled);
        }
    }

    #[test]
    fn an_unknown_variable_is_named() {
        assert_eq!(fill("up{a=\"$nod\"}", &Values::new()).unwrap_err().to_string(), "unknown variable `$nod`");
    }

    #[test]
    fn the_intervals_follow_from_the_scrape_interval() {
        let seconds = Duration::from_secs;
        let intervals = |scrape, least| {
            let values = built_in(seconds(scrape), seconds(least), 1);
            (values["__interval"].clone(), values["__rate_interval"].clone())
        };
        assert_eq!(intervals(1, 0), ("5000ms".into(), "6000ms".into()));
        assert_eq!(intervals(15, 0), ("15000ms".into(), "60000ms".into()));
        assert_eq!(intervals(60, 0), ("60000ms".into(), "240000ms".into()));
        // A panel's own least interval is a longer step, not a longer scrape.
        assert_eq!(intervals(15, 120), ("120000ms".into(), "135000ms".into()));
    }
}
