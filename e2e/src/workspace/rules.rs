//! Prometheus rule files, as their authors have them: plain ones, and `PrometheusRule` objects.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::pint;

/// Where the rules are, in the workspace.
pub const RULES: &str = "kustomize/prometheus/rules";

/// A rule file.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// Its path, for messages.
    pub path: String,
    /// Its groups as they stand in the file.
    pub groups: Value,
    rules: Vec<Rule>,
}

/// A rule, alerting or recording.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// The alert's name.
    pub alert: Option<String>,
    /// The recorded metric's name.
    pub record: Option<String>,
    /// The query.
    #[serde(deserialize_with = "text")]
    pub expr: String,
    /// Labels that the rule adds.
    #[serde(default, deserialize_with = "texts")]
    pub labels: BTreeMap<String, String>,
    /// What the alert says to people.
    #[serde(default, deserialize_with = "texts")]
    pub annotations: BTreeMap<String, String>,
    /// What comments for pint say of it, such as `disable promql/series(up)`.
    #[serde(skip)]
    pub comments: Vec<String>,
}

impl RuleFile {
    /// Reads every `*.yml` and `*.yaml` that lies in a directory itself, in the order of their names.
    pub fn read_all(directory: &Path) -> Result<Vec<Self>> {
        super::files(directory, &["yml", "yaml"])?.iter().map(|path| Self::read(path)).collect()
    }

    /// Reads a rule file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &fs::read_to_string(path)?)
    }

    /// Reads a rule file's text. Kubernetes objects of other kinds hold no rules.
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        let read = || {
            let raw: Vec<Value> = serde_saphyr::from_multiple(text)?;
            for document in raw.iter().filter_map(Value::as_object) {
                let expected = document.is_empty() || ["kind", "groups"].iter().any(|key| document.contains_key(*key));
                ensure!(expected, "no `groups`");
            }
            let documents: Vec<Document> = serde_saphyr::from_multiple(text)?;
            let mut rules: Vec<Spanned<Rule>> = documents.into_iter().flat_map(Document::rules).collect();
            let starts = rules.iter().map(|rule| (rule.defined.line(), rule.defined.column())).collect::<Vec<_>>();
            for (rule, comments) in rules.iter_mut().zip(pint::comments(text, &starts)) {
                rule.value.comments = comments;
            }
            let groups = raw.into_iter().flat_map(groups).collect();
            anyhow::Ok((Value::Array(groups), rules.into_iter().map(|rule| rule.value).collect()))
        };
        let (groups, rules) = read().with_context(|| format!("{path}: not a rule file"))?;
        Ok(Self { path: path.to_owned(), groups, rules })
    }

    /// The rules of all groups, in their order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The file as Prometheus itself takes it, in JSON, which is YAML.
    pub fn for_prometheus(&self) -> String {
        let mut groups = self.groups.clone();
        for group in groups.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            // Thanos' own, which prometheus-operator admits.
            group.remove("partial_response_strategy");
        }
        serde_json::json!({ "groups": groups }).to_string()
    }
}

impl Rule {
    /// The alert's or the recorded metric's name.
    pub fn name(&self) -> &str {
        self.alert.as_deref().or(self.record.as_deref()).unwrap_or("a rule without a name")
    }
}

/// A rule file, or a Kubernetes object.
#[derive(Deserialize)]
struct Document {
    kind: Option<String>,
    groups: Option<Vec<Group>>,
    spec: Option<Spec>,
    items: Option<Vec<Document>>,
}

#[derive(Deserialize)]
struct Spec {
    groups: Option<Vec<Group>>,
}

#[derive(Deserialize)]
struct Group {
    rules: Option<Vec<Spanned<Rule>>>,
}

impl Document {
    fn rules(self) -> Vec<Spanned<Rule>> {
        let groups = match self.kind.as_deref() {
            None => self.groups,
            Some("PrometheusRule") => self.spec.and_then(|spec| spec.groups),
            Some(_) => None,
        };
        let own = groups.into_iter().flatten().filter_map(|group| group.rules).flatten();
        own.chain(self.items.into_iter().flatten().flat_map(Self::rules)).collect()
    }
}

/// The groups of a document, as [`Document::rules`] finds them.
fn groups(mut document: Value) -> Vec<Value> {
    let groups = match document["kind"].as_str() {
        None => document["groups"].take(),
        Some("PrometheusRule") => document["spec"]["groups"].take(),
        Some(_) => Value::Null,
    };
    let listed = |value: Value| if let Value::Array(list) = value { list } else { Vec::new() };
    let items = document.get_mut("items").map(Value::take).unwrap_or_default();
    listed(groups).into_iter().chain(listed(items).into_iter().flat_map(self::groups)).collect()
}

/// A text, which may stand there as a number or a boolean.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Value::deserialize(deserializer).map(scalar)
}

/// As [`text`], under names; nothing is none.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values: Option<BTreeMap<String, Value>> = Deserialize::deserialize(deserializer)?;
    Ok(values.unwrap_or_default().into_iter().map(|(name, value)| (name, scalar(value))).collect())
}

fn scalar(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
groups:
  - name: g
    rules:
      - alert: A
        expr: up == 0
        for: 5m
      - record: b
        expr: sum(up)
";

    #[test]
    fn reads_both_kinds_of_rules() {
        let file = RuleFile::parse("x.yml", TEXT).unwrap();
        assert_eq!(file.rules().map(Rule::name).collect::<Vec<_>>(), ["A", "b"]);
    }

    fn read(text: &str) -> RuleFile {
        RuleFile::parse("x.yml", text).unwrap()
    }

    /// As prometheus-operator and promtool take them.
    #[test]
    fn files_are_read_as_their_authors_have_them() {
        let names = |text: &str| read(text).rules().map(|rule| rule.name().to_owned()).collect::<Vec<_>>();
        let object = "
kind: PrometheusRule
spec:
  groups:
    - name: g
      query_offset: 10s
      rules: [{alert: A, expr: up}]
      partial_response_strategy: warn
";
        let several = format!("kind: Service\nspec: {{ports: []}}\n---{object}---\nkind: List\nitems: []\n");
        let list =
            "kind: List\nitems: [{kind: PrometheusRule, spec: {groups: [{name: g, rules: [{record: b, expr: 1}]}]}}]";
        for (text, expected) in [
            (object, &["A"][..]),
            (&several, &["A"]),
            (list, &["b"]),
            ("groups: [{name: g, rules: []}, {name: h}, {name: i, limit: 3, rules: null}]", &[]),
            ("groups:", &[]),
            ("groups: []", &[]),
            ("{}", &[]),
            ("", &[]),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
        let written = read(&several).for_prometheus();
        assert_eq!(written, r#"{"groups":[{"name":"g","query_offset":"10s","rules":[{"alert":"A","expr":"up"}]}]}"#);
    }

    #[test]
    fn numbers_and_booleans_are_texts() {
        let text =
            "groups: [{name: g, rules: [{alert: A, expr: 1, labels: {page: true, level: 3}, annotations: null}]}]";
        let file = read(text);
        let rule = file.rules().next().unwrap();
        let labels: Vec<_> = rule.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!((rule.expr.as_str(), labels), ("1", vec!["level=3".to_owned(), "page=true".to_owned()]));
        assert!(rule.annotations.is_empty());
    }

    #[test]
    fn errors_name_the_file() {
        let error = format!("{:#}", RuleFile::parse("x.yml", "groups: [{name: g, rules: [{alert: A}]}]").unwrap_err());
        assert!(error.starts_with("x.yml: not a rule file") && error.contains("expr"), "{error}");
        let error = format!("{:#}", RuleFile::parse("x.yml", "tests: []").unwrap_err());
        assert_eq!(error, "x.yml: not a rule file: no `groups`");
    }
}
