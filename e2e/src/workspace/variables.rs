//! Grafana's variables and macros in a query, filled in, so that what is left is what Prometheus takes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

/// What each variable stands for.
pub type Values = BTreeMap<String, String>;

/// The macros that Grafana itself fills in. A rate's interval spans several scrapes of every stack that ships here; the
/// step is that of a graph of some minutes, for a stack that has been up for seconds has nothing at whole minutes.
pub fn built_in() -> Values {
    [
        ("__interval", "5s"),
        ("__interval_ms", "5000"),
        ("__rate_interval", "1m"),
        ("__range", "1h"),
        ("__range_s", "3600"),
        ("__range_ms", "3600000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
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
            filled.push_str(values.get(name).with_context(|| format!("unknown variable `${name}`"))?);
            rest = after;
        } else {
            filled.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    Ok(filled + rest)
}

/// The name of the variable at the text's start, and what follows it.
fn variable(text: &str) -> Option<(&str, &str)> {
    for (open, close) in [("${", "}"), ("[[", "]]")] {
        if let Some(inner) = text.strip_prefix(open) {
            let (name, after) = inner.split_once(close)?;
            let name = name.split_once(':').map_or(name, |(name, _format)| name);
            return is_name(name).then_some((name, after));
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
        let values = built_in().into_iter().chain([("node".to_owned(), ".+".to_owned())]).collect();
        for (text, filled) in [
            ("up{node=~\"$node\"}", "up{node=~\".+\"}"),
            ("up{node=~\"${node:regex}|[[node]]\"}", "up{node=~\".+|.+\"}"),
            ("rate(x[$__rate_interval])", "rate(x[1m])"),
            ("up{a=~\"b$\"}[5m]", "up{a=~\"b$\"}[5m]"),
            ("label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")", "label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\")"),
        ] {
            assert_eq!(fill(text, &values).unwrap(), filled);
        }
    }

    #[test]
    fn an_unknown_variable_is_named() {
        assert_eq!(fill("up{a=\"$nod\"}", &built_in()).unwrap_err().to_string(), "unknown variable `$nod`");
    }
}
