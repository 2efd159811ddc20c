//! What a stack is made of and checked against. The files are read before anything is started, so that a bad one is
//! reported first.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::dashboard::{self, Dashboard};
use super::root;
use super::rules::{RULES, Rule, RuleFile};

/// An exporter's dashboards and rules.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// None where no file was named and the exporter is not this repository's.
    pub dashboards: Vec<Dashboard>,
    /// None, as with dashboards.
    pub rules: Vec<RuleFile>,
}

impl Project {
    /// This repository's exporter, with the files of this checkout.
    pub fn shipped() -> Result<Self> {
        Self::default().or_shipped()
    }

    /// Reads the dashboards and the rules in these folders.
    pub fn read(dashboards: Option<&Path>, rules: Option<&Path>) -> Result<Self> {
        let dashboards = dashboards.map_or(Ok(Vec::new()), |dir| {
            let dashboards = Dashboard::read_all(dir)?;
            ensure!(!dashboards.is_empty(), "--dashboards {}: no dashboards (*.json) there", dir.display());
            Ok(dashboards)
        })?;
        let rules = rules.map_or(Ok(Vec::new()), |dir| {
            let rules = RuleFile::read_all(dir)?;
            let has_rules = rules.iter().flat_map(RuleFile::rules).next().is_some();
            ensure!(has_rules, "--rules {}: no rules (*.yml, *.yaml) there", dir.display());
            Ok(rules)
        })?;
        Ok(Self { dashboards, rules })
    }

    /// Adds the shipped files of each kind of which none was named.
    pub fn or_shipped(mut self) -> Result<Self> {
        if self.dashboards.is_empty() {
            self.dashboards = vec![linked(Dashboard::read(&root().join(dashboard::FILE))?)?];
        }
        if self.rules.is_empty() {
            self.rules = RuleFile::read_all(&root().join(RULES))?;
        }
        Ok(self)
    }

    /// The names of all alerts.
    pub fn alerts(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(RuleFile::rules).filter_map(|rule: &Rule| rule.alert.as_deref())
    }

    /// The uid of the data source with which the first dashboard opens.
    pub fn datasource(&self) -> Result<String> {
        let values = self.dashboards.first().map(Dashboard::values).unwrap_or_default();
        values.get("datasource").cloned().context("the dashboard has no variable `datasource`")
    }
}

/// Fails unless the dashboard has the uid to which the links lead.
fn linked(dashboard: Dashboard) -> Result<Dashboard> {
    let (uid, file) = (&dashboard.uid, dashboard::FILE);
    ensure!(uid == dashboard::UID, "{file}: uid `{uid}`; expected `{}`, to which the links lead", dashboard::UID);
    Ok(dashboard)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    fn refused(dashboards: Option<&Path>, rules: Option<&Path>) -> String {
        Project::read(dashboards, rules).expect_err("nothing to check").to_string()
    }

    #[test]
    fn a_folder_without_rules_or_dashboards_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, shown) = (dir.path(), dir.path().display());
        let no_rules = format!("--rules {shown}: no rules (*.yml, *.yaml) there");
        assert_eq!(refused(None, Some(path)), no_rules);
        assert_eq!(refused(Some(path), None), format!("--dashboards {shown}: no dashboards (*.json) there"));
        fs::write(path.join("empty.yml"), "groups: []").unwrap();
        assert_eq!(refused(None, Some(path)), no_rules);
        fs::write(path.join("own.yaml"), "groups: [{name: g, rules: [{alert: A, expr: up}]}]").unwrap();
        let project = Project::read(None, Some(path)).unwrap();
        assert_eq!(project.alerts().collect::<Vec<_>>(), ["A"]);
    }

    #[test]
    fn the_links_lead_to_the_uid_of_the_file() {
        let dashboard = |uid: &str| serde_json::from_value(serde_json::json!({ "uid": uid, "title": "t" })).unwrap();
        assert!(linked(dashboard(dashboard::UID)).is_ok());
        let error = linked(dashboard("other")).unwrap_err().to_string();
        assert!(error.ends_with("uid `other`; expected `mini-node-exporter`, to which the links lead"), "{error}");
    }
}
