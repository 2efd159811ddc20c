//! What the variables of a dashboard stand for as it opens, as Grafana chooses it: what its author chose last, where that is
//! still among the values that there are, and else the first of them.

use std::collections::BTreeSet;

use anyhow::Result;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::dashboard::or_default;
use super::variables::{self, Values};
use crate::wait::poll::Final;

/// The value that stands for all of them.
const ALL: &str = "$__all";

/// More values than this are not listed in a query, whose address would be too long.
const LISTED: usize = 100;

/// A template variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Variable {
    /// Its name.
    pub name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Where its values come from.
    pub(super) datasource: Value,
    /// What *All* stands for.
    #[serde(deserialize_with = "or_default")]
    all_value: String,
    #[serde(deserialize_with = "or_default")]
    include_all: bool,
    #[serde(deserialize_with = "or_default")]
    multi: bool,
    /// For a query, what finds its values; for a data source, the plugin; else the values themselves.
    pub(super) query: Value,
    /// Which part of each value counts.
    #[serde(deserialize_with = "or_default")]
    regex: String,
    sort: Value,
    /// Whether Grafana looks for the values each time the dashboard opens.
    refresh: Value,
    #[serde(rename = "auto_count")]
    auto_count: Option<u32>,
    /// What is chosen at first.
    current: Value,
}

/// A question for the values of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The values of a label, of the series that a selector finds, or of all.
    LabelValues {
        selector: Option<String>,
        label: String,
    },
    LabelNames,
    /// The names of the metrics that match.
    Metrics(String),
    /// The series that a query gives, as Prometheus writes them.
    Series(String),
}

impl Lookup {
    /// The query that finds something wherever it does, if there is one.
    pub fn query(&self) -> Option<String> {
        match self {
            Self::LabelValues { selector, label } => Some(format!("group by ({label}) ({})", selector.as_ref()?)),
            Self::Series(expr) => Some(expr.clone()),
            Self::LabelNames | Self::Metrics(_) => None,
        }
    }
}

/// What a variable stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// In a query.
    pub text: String,
    /// In the first of the panels that are repeated for its values.
    pub first: String,
}

impl Variable {
    /// What finds its values, other variables filled in; `None` where no query does.
    pub fn lookup(&self, values: &Values) -> Result<Option<Lookup>> {
        if self.kind != "query" {
            return Ok(None);
        }
        // Newer dashboards wrap the query in an object.
        let query = self.query.as_str().or_else(|| self.query["query"].as_str()).unwrap_or_default();
        let query = variables::fill(query.trim(), values);
        let query = query.map_err(|error| Final(format!("variable `{}`: {error}", self.name)))?;
        let call =
            |name: &str| query.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')').map(str::trim);
        Ok(Some(if let Some(arguments) = call("label_values") {
            let (selector, label) = match arguments.rsplit_once(',') {
                Some((selector, label)) => (Some(selector.trim().to_owned()), label),
                None => (None, arguments),
            };
            Lookup::LabelValues { selector, label: label.trim().to_owned() }
        } else if call("label_names").is_some() {
            Lookup::LabelNames
        } else if let Some(pattern) = call("metrics") {
            Lookup::Metrics(pattern.to_owned())
        } else if let Some(expr) = call("query_result") {
            Lookup::Series(expr.to_owned())
        } else if query.is_empty() {
            return Ok(None);
        } else {
            Lookup::Series(query)
        }))
    }

    /// What it stands for before its values are known.
    pub fn unopened(&self) -> String {
        let chosen = self.chosen();
        match chosen.first().map_or(ALL, String::as_str) {
            ALL if self.kind != "query" => self.opened(Vec::new()).map(|opened| opened.text).unwrap_or_default(),
            ALL if self.all_value.is_empty() => ".+".to_owned(),
            ALL => self.all_value.clone(),
            chosen => chosen.to_owned(),
        }
    }

    /// What it stands for; `found` is what its query has found, if it has one.
    pub fn opened(&self, found: Vec<String>) -> Result<Opened> {
        let listed = self.query.as_str().unwrap_or_default();
        let values = match self.kind.as_str() {
            "query" => self.sorted(self.matching(found)?),
            "custom" => custom(listed),
            "interval" => listed.split(',').map(|value| value.trim().to_owned()).collect(),
            _ => vec![self.chosen().into_iter().next().unwrap_or_else(|| listed.to_owned())],
        };
        let mut chosen = self.chosen();
        if self.kind == "interval" && chosen.first().is_some_and(|value| value.starts_with("$__auto")) {
            // An hour in so many steps.
            let text = format!("{}s", 3600 / self.auto_count.unwrap_or(30).max(1));
            return Ok(Opened { first: text.clone(), text });
        }
        if self.kind != "query" || self.refresh != 0 {
            chosen.retain(|value| values.contains(value) || (value == ALL && self.include_all));
        }
        if chosen.is_empty() {
            chosen = if self.include_all { vec![ALL.to_owned()] } else { values.iter().take(1).cloned().collect() };
        }
        let is_all = chosen.iter().any(|value| value == ALL);
        let first = if is_all { values.first() } else { chosen.first() };
        let first = self.joined(first.map(std::slice::from_ref).unwrap_or_default());
        let text = match is_all {
            true if !self.all_value.is_empty() => self.all_value.clone(),
            true if values.is_empty() => ".*".to_owned(),
            true if values.len() > LISTED => ".+".to_owned(),
            true => self.joined(&values),
            false => self.joined(&chosen),
        };
        Ok(Opened { text, first })
    }

    /// The values that are chosen in the file.
    fn chosen(&self) -> Vec<String> {
        let value = &self.current["value"];
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        list.iter().filter_map(Value::as_str).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }

    /// Values as Grafana writes them into a query: where several may be chosen, they are a regular expression in a string.
    fn joined(&self, values: &[String]) -> String {
        let is_regex = self.multi || self.include_all;
        let text =
            |value: &String| if is_regex { as_regex(value) } else { value.replace('\\', r"\\").replace('"', "\\\"") };
        match values {
            [one] => text(one),
            [] => String::new(),
            several => format!("({})", several.iter().map(text).collect::<Vec<_>>().join("|")),
        }
    }

    /// The part of each value that its regular expression is about; those that do not match are left out.
    fn matching(&self, found: Vec<String>) -> Result<Vec<String>> {
        if self.regex.is_empty() {
            return Ok(found);
        }
        let inner = self.regex.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
        let pattern = match inner {
            Some((pattern, flags)) if flags.contains('i') => format!("(?i){pattern}"),
            Some((pattern, _)) => pattern.to_owned(),
            // Without slashes it has to match as a whole.
            None => format!("^{}$", self.regex),
        };
        let pattern = Regex::new(&pattern).map_err(|_| {
            Final(format!("variable `{}`: its regular expression `{}` is not supported", self.name, self.regex))
        })?;
        let part = |value: &String| {
            let captures = pattern.captures(value)?;
            let part = captures.name("value").or_else(|| captures.get(1));
            Some(part.map_or(value.as_str(), |part| part.as_str()).to_owned())
        };
        Ok(found.iter().filter_map(part).collect())
    }

    /// Each value once, in the order in which Grafana offers them.
    fn sorted(&self, values: Vec<String>) -> Vec<String> {
        let mut values: Vec<String> = values.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        match self.sort.as_u64() {
            Some(3 | 4) => values.sort_by_key(|value| number(value)),
            Some(5 | 6) => values.sort_by_key(|value| value.to_lowercase()),
            _ => {}
        }
        if matches!(self.sort.as_u64(), Some(2 | 4 | 6)) {
            values.reverse();
        }
        values
    }
}

/// The value as a regular expression inside a string, escaped as Grafana does it.
fn as_regex(value: &str) -> String {
    let escaped = value.chars().map(|c| match c {
        '\\' => r"\\\\".to_owned(),
        _ if r"$^*{}[]'+?.()|".contains(c) => format!(r"\\{c}"),
        _ => c.to_string(),
    });
    escaped.collect()
}

/// The values of a list such as `a, B : b`, in which people see `B` instead of `b`.
fn custom(list: &str) -> Vec<String> {
    let value = |entry: &str| entry.split_once(" : ").map_or(entry, |(_, value)| value).trim().to_owned();
    list.split(',').map(value).filter(|value| !value.is_empty()).collect()
}

/// The first number in a text.
fn number(text: &str) -> u64 {
    let digits: String = text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variable(fields: Value) -> Variable {
        serde_json::from_value(fields).unwrap()
    }

    fn opened(fields: Value, found: &[&str]) -> String {
        variable(fields).opened(found.iter().map(ToString::to_string).collect()).unwrap().text
    }

    #[test]
    fn a_variable_opens_as_grafana_opens_it() {
        let query = |more: Value| {
            let mut fields = json!({ "name": "v", "type": "query", "refresh": 1, "query": "label_values(up, v)" });
            fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            fields
        };
        for (more, text) in [
            // Nothing is chosen in the file, or what is not there.
            (json!({}), "a:1"),
            (json!({ "current": {} }), "a:1"),
            (json!({ "current": { "value": "b:2" } }), "b:2"),
            (json!({ "current": { "value": "gone" } }), "a:1"),
            (json!({ "current": { "value": "gone" }, "refresh": 0 }), "gone"),
            (json!({ "current": null, "includeAll": true }), "(a:1|b:2)"),
            (json!({ "current": { "value": ["$__all"] }, "includeAll": true, "allValue": ".*" }), ".*"),
            (json!({ "current": { "value": ["gone", "b:2"] }, "multi": true }), "b:2"),
            (json!({ "sort": 2 }), "b:2"),
            (json!({ "regex": "/(.*):2/" }), "b"),
            (json!({ "regex": "b.*" }), "b:2"),
            (json!({ "regex": "/(?<text>.)(?<value>.*)/" }), ":1"),
        ] {
            assert_eq!(opened(query(more.clone()), &["b:2", "a:1", "a:1"]), text, "{more}");
        }
        assert_eq!(opened(query(json!({})), &[]), "");
        assert_eq!(opened(query(json!({ "includeAll": true })), &[]), ".*");
        assert_eq!(opened(query(json!({ "sort": 3 })), &["10", "9"]), "9");
        assert_eq!(opened(query(json!({ "multi": true })), &[r"a.b\c-d"]), r"a\\.b\\\\c-d");
        let error = variable(query(json!({ "regex": "/(?!a)/" }))).opened(Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "variable `v`: its regular expression `/(?!a)/` is not supported");
    }

    #[test]
    fn values_that_stand_in_the_file_are_taken_from_it() {
        for (fields, text) in [
            (json!({ "type": "custom", "query": "5m, Hour : 1h" }), "5m"),
            (json!({ "type": "custom", "query": "5m, Hour : 1h", "current": { "value": "1h" } }), "1h"),
            (json!({ "type": "custom", "query": "a,b", "includeAll": true }), "(a|b)"),
            (json!({ "type": "constant", "query": "c" }), "c"),
            (json!({ "type": "textbox", "query": ".*", "current": { "value": "" } }), ".*"),
            (json!({ "type": "interval", "query": "1m,10m" }), "1m"),
            (
                json!({ "type": "interval", "query": "1m", "current": { "value": "$__auto_interval_i" }, "auto_count": 60 }),
                "60s",
            ),
            (json!({ "type": "datasource", "query": "prometheus", "current": { "value": "uid" } }), "uid"),
        ] {
            assert_eq!(opened(fields.clone(), &[]), text, "{fields}");
        }
    }

    #[test]
    fn every_form_of_a_query_is_understood() {
        let lookup = |query: Value| {
            let fields = json!({ "name": "v", "type": "query", "query": query });
            variable(fields).lookup(&Values::from([("job".to_owned(), "node".to_owned())])).unwrap()
        };
        let label = |selector: Option<&str>, label: &str| {
            Some(Lookup::LabelValues { selector: selector.map(str::to_owned), label: label.to_owned() })
        };
        let selector = r#"up{a="b,c",job="node"}"#;
        let wrapped = json!({ "query": r#"label_values(up{a="b,c",job="$job"}, node)"#, "refId": "A" });
        assert_eq!(lookup(wrapped), label(Some(selector), "node"));
        assert_eq!(lookup(json!("label_values(instance)")), label(None, "instance"));
        assert_eq!(lookup(json!("label_names()")), Some(Lookup::LabelNames));
        assert_eq!(lookup(json!("metrics(node_.*)")), Some(Lookup::Metrics("node_.*".into())));
        assert_eq!(lookup(json!("query_result(sum(up))")), Some(Lookup::Series("sum(up)".into())));
        assert_eq!(lookup(json!("up")), Some(Lookup::Series("up".into())));
        assert_eq!(lookup(json!("")), None);
    }
}
