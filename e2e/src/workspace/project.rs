//! What a stack is made of and checked against. The files are read before anything is started, so that a bad one is
//! reported first.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use serde_json::Value;

use super::dashboard::{self, Dashboard};
use super::description::{CommandLine, Description, Endpoint};
use super::rules::{RULES, RuleFile};
use super::{files, shipped};

/// The job name that the exporter's targets have in every scrape configuration.
pub const JOB: &str = "mini-node-exporter";

/// The job name of another program's targets, if none is chosen.
const OTHER_JOB: &str = "target";

/// An exporter, this repository's or another program, and its dashboards and rules.
#[derive(Clone, Debug)]
pub struct Project {
    /// The name of the scrape job.
    pub job: String,
    /// How often Prometheus scrapes; `None` leaves it to the backend.
    pub scrape_interval: Option<Duration>,
    /// The targets of another program; none for this repository's exporter.
    pub targets: Vec<Endpoint>,
    /// What answers at the one target, to be started.
    pub command: Option<CommandLine>,
    /// None where no file was named and the exporter is not this repository's.
    pub dashboards: Vec<Dashboard>,
    /// None, as with dashboards.
    pub rules: Vec<RuleFile>,
    /// Alertmanager's configuration; the shipped one if none was named.
    pub alertmanager: Option<Value>,
}

/// This repository's exporter, without its files.
impl Default for Project {
    fn default() -> Self {
        Self {
            job: JOB.into(),
            scrape_interval: None,
            targets: Vec::new(),
            command: None,
            dashboards: Vec::new(),
            rules: Vec::new(),
            alertmanager: None,
        }
    }
}

/// The shipped configuration of Alertmanager.
const ALERTMANAGER: &str = "kustomize/alertmanager/alertmanager.yml";

impl Project {
    /// This repository's exporter, with its files.
    pub fn shipped() -> Result<Self> {
        Self::default().or_shipped()
    }

    /// Reads the files that a description names.
    pub fn read(description: &Description) -> Result<Self> {
        let Description { target, command, job, scrape_interval, .. } = description.clone();
        let dashboards = named("--dashboards", &description.dashboards, "dashboards", &["json"])?;
        let dashboards = dashboards.iter().map(|path| Dashboard::read(path)).collect::<Result<Vec<_>>>()?;
        let rules = named("--rules", &description.rules, "rules", &["yml", "yaml"])?;
        let rules = rules.iter().map(|path| RuleFile::read(path)).collect::<Result<Vec<_>>>()?;
        let has_rules = rules.iter().flat_map(RuleFile::rules).next().is_some();
        ensure!(has_rules || rules.is_empty(), "--rules {}: no rules there", description.rules.join(", "));
        let alertmanager = description.alertmanager_config.as_deref().map(alertmanager).transpose()?;
        let job = job.unwrap_or_else(|| if target.is_empty() { JOB } else { OTHER_JOB }.to_owned());
        let scrape_interval = scrape_interval.map(Into::into);
        Ok(Self { job, scrape_interval, targets: target, command, dashboards, rules, alertmanager })
    }

    /// Adds the shipped files of each kind of which none was named.
    pub fn or_shipped(mut self) -> Result<Self> {
        if self.dashboards.is_empty() {
            self.dashboards = vec![Dashboard::read(&shipped(dashboard::FILE)?)?];
        }
        if self.rules.is_empty() {
            self.rules = RuleFile::read_all(&shipped(RULES)?)?;
        }
        Ok(self)
    }

    /// Alertmanager's configuration.
    pub fn alertmanager_config(&self) -> Result<Value> {
        self.alertmanager.clone().map_or_else(|| alertmanager(&shipped(ALERTMANAGER)?), Ok)
    }

    /// Whether the exporter is this repository's.
    pub fn is_ours(&self) -> bool {
        self.targets.is_empty()
    }

    /// The uid of the data source with which the first dashboard opens.
    pub fn datasource(&self) -> Result<String> {
        let values = self.dashboards.first().map(Dashboard::values).unwrap_or_default();
        values.get("datasource").cloned().context("the dashboard has no variable `datasource`")
    }
}

fn alertmanager(file: &Path) -> Result<Value> {
    let config: Value =
        serde_saphyr::from_str(&fs::read_to_string(file)?).with_context(|| file.display().to_string())?;
    ensure!(config["route"].is_object(), "{}: not a configuration of Alertmanager: it has no `route`", file.display());
    Ok(config)
}

/// The files that a flag names: each by its path, its folder or a pattern.
fn named(flag: &str, names: &[String], what: &str, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for name in names {
        let path = Path::new(name);
        let found = if path.is_dir() {
            files(path, extensions)?
        } else if path.exists() {
            vec![path.to_owned()]
        } else {
            matching(path).with_context(|| format!("{flag} {name}"))?
        };
        let extensions = extensions.iter().map(|extension| format!("*.{extension}")).collect::<Vec<_>>().join(", ");
        ensure!(!found.is_empty(), "{flag} {name}: no {what} ({extensions}) there");
        all.extend(found);
    }
    Ok(all)
}

/// The files that a pattern matches, in the order of their names.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    // A letter of a folder that exists is no part of the pattern.
    let base = pattern.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new(""));
    let rest = pattern.strip_prefix(base)?;
    let escaped = Path::new(&glob::Pattern::escape(&base.to_string_lossy())).join(rest);
    let found = glob::glob(&escaped.to_string_lossy())?.collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().filter(|path| path.is_file()).collect())
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn files_are_named_by_path_folder_or_pattern() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("[a]");
        fs::create_dir(&folder).unwrap();
        for name in ["b.yml", "c.yaml", "d.txt"] {
            let rule = name.split('.').next().unwrap();
            fs::write(folder.join(name), format!("groups: [{{name: g, rules: [{{alert: {rule}, expr: up}}]}}]"))
                .unwrap();
        }
        let rules = |names: &[&str]| {
            let rules = names.iter().map(|name| folder.join(name).display().to_string()).collect();
            let read = Project::read(&Description { rules, ..Description::default() });
            let alerts = |project: Project| {
                let rules = project.rules.iter().flat_map(RuleFile::rules);
                rules.filter_map(|rule| rule.alert.clone()).collect::<Vec<_>>().join(" ")
            };
            let read = read.map(alerts);
            read.map_err(|error| format!("{error:#}").replace(&folder.display().to_string(), "DIR"))
        };
        for (names, read) in
            [(&["d.txt", "b.yml"][..], "d b"), (&[""], "b c"), (&["*"], "b c d"), (&["../*/*.y*ml"], "b c")]
        {
            assert_eq!(rules(names).as_deref(), Ok(read), "{names:?}");
        }
        fs::create_dir(folder.join("empty")).unwrap();
        fs::write(folder.join("none.yml"), "groups: []").unwrap();
        for (name, error) in [
            ("empty", "--rules DIR/empty: no rules (*.yml, *.yaml) there"),
            ("*.yam", "--rules DIR/*.yam: no rules (*.yml, *.yaml) there"),
            ("nowhere", "--rules DIR/nowhere: no rules (*.yml, *.yaml) there"),
            ("none.yml", "--rules DIR/none.yml: no rules there"),
        ] {
            assert_eq!(rules(&[name]).unwrap_err(), error);
        }
    }
}
