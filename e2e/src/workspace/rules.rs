//! Prometheus rule files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde::Deserialize;
use serde_json::Value;

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
    pub expr: String,
    /// Labels that the rule adds.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What the alert says to people.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl RuleFile {
    /// Reads every `*.yml` and `*.yaml` that lies in a directory itself, in the order of their names.
    pub fn read_all(directory: &Path) -> Result<Vec<Self>> {
        super::files(directory, &["yml", "yaml"])?
            .iter()
            .map(|path| {
                let name = path.display().to_string();
                let text = fs::read_to_string(path)?;
                Self::parse(&name, &text)
            })
            .collect()
    }

    /// Reads a rule file's text.
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Group {
            rules: Vec<Rule>,
        }
        let read = || {
            let mut file: BTreeMap<String, Value> = serde_saphyr::from_str(text)?;
            let groups = file.remove("groups").context("no `groups`")?;
            let typed: Vec<Group> = serde_json::from_value(groups.clone())?;
            anyhow::Ok((groups, typed.into_iter().flat_map(|group| group.rules).collect()))
        };
        let (groups, rules) = read().with_context(|| format!("{path}: not a rule file"))?;
        Ok(Self { path: path.to_owned(), groups, rules })
    }

    /// The rules of all groups, in their order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }
}

impl Rule {
    /// The alert's or the recorded metric's name.
    pub fn name(&self) -> &str {
        self.alert.as_deref().or(self.record.as_deref()).unwrap_or("a rule without a name")
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

    #[test]
    fn errors_name_the_file() {
        let error = format!("{:#}", RuleFile::parse("x.yml", "groups: [{name: g, rules: [{alert: A}]}]").unwrap_err());
        assert!(error.starts_with("x.yml: not a rule file") && error.contains("expr"), "{error}");
    }
}
