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

/// Writes values into a query.
type Write = fn(&[String]) -> String;

/// The formats in which a query can ask for the values of a variable, as in `${node:raw}`. In any other they are as without
/// one.
const FORMATS: [(&str, Write); 4] = [
    ("csv", |values| values.join(",")),
    ("raw", |values| values.join(",")),
    ("pipe", |values| values.join("|")),
    ("regex", |values| several(values.iter().map(|value| escaped(value, "\\")))),
];

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

/// What a variable stands for, each with the format that asks for it; that without one comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// In a query.
    pub texts: Vec<(&'static str, String)>,
    /// In the first of the panels that are repeated for its values.
    pub first: Vec<(&'static str, String)>,
}

impl Opened {
    /// The text without a format.
    fn text(self) -> String {
        self.texts.into_iter().next().unwrap_or_default().1
    }
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
            ALL if self.kind != "query" => self.opened(Vec::new()).map(Opened::text).unwrap_or_default(),
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
            let texts = vec![("", format!("{}s", 3600 / self.auto_count.unwrap_or(30).max(1)))];
            return Ok(Opened { first: texts.clone(), texts });
        }
        if self.kind != "query" || self.refresh != 0 {
            chosen.retain(|value| values.contains(value) || (value == ALL && self.include_all));
        }
        if chosen.is_empty() {
            chosen = if self.include_all { vec![ALL.to_owned()] } else { values.iter().take(1).cloned().collect() };
        }
        let is_all = chosen.iter().any(|value| value == ALL);
        let listed = if is_all { &values } else { &chosen };
        let texts = match is_all {
            true if !self.all_value.is_empty() => vec![("", self.all_value.clone())],
            true if values.is_empty() => vec![("", ".*".to_owned())],
            true if values.len() > LISTED => vec![("", ".+".to_owned())],
            _ => self.texts(listed),
        };
        Ok(Opened { texts, first: self.texts(listed.get(..1).unwrap_or_default()) })
    }

    /// Values in every format.
    fn texts(&self, values: &[String]) -> Vec<(&'static str, String)> {
        let formats = FORMATS.iter().map(|(format, write)| (*format, write(values)));
        [("", self.joined(values))].into_iter().chain(formats).collect()
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
        let text = |value: &String| {
            if is_regex { escaped(value, r"\\") } else { value.replace('\\', r"\\").replace('"', "\\\"") }
        };
        several(values.iter().map(text))
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

/// One text as it is, and several as alternatives.
fn several(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    match &texts[..] {
        [one] => one.clone(),
        [] => String::new(),
        several => format!("({})", several.join("|")),
    }
}

/// The value as a regular expression, escaped as Grafana does it: inside a string by two backslashes.
fn escaped(value: &str, by: &str) -> String {
    let escaped = value.chars().map(|c| match c {
        '\\' => by.repeat(2),
        _ if r"$^*{}[]'+?.()|".contains(c) => format!("{by}{c}"),
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

    fn opened_in_formats(fields: Value, found: &[&str]) -> Vec<(&'static str, String)> {
        variable(fields).opened(found.iter().map(ToString::to_string).collect()).unwrap().texts
    }

    fn opened(fields: Value, found: &[&str]) -> String {
        opened_in_formats(fields, found).swap_remove(0).1
    }

    #[test]
    fn a_variable_opens_as_grafana_opens_it() {
        let query = |more: Value| {
            let mut fields = json!({ "name": "v", "type": "query", "refresh": 1, "query": "label_values(up, v)" });
            fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            fields
        };
        let formats = opened_in_formats(query(json!({ "multi": true, "includeAll": true })), &["a.b", "c"]);
        let expected =
            [("", r"(a\\.b|c)"), ("csv", "a.b,c"), ("raw", "a.b,c"), ("pipe", "a.b|c"), ("regex", r"(a\.b|c)")];
        assert_eq!(formats, expected.map(|(format, text)| (format, text.to_owned())));
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
