//! A Grafana dashboard in its classic JSON schema, as far as it can be wrong: panels, their queries, variables,
//! annotations and data sources.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde::Deserialize;
use serde_json::Value;

use crate::workspace::variables::{self, Values};

/// The shipped dashboard, in the workspace.
pub const FILE: &str = "grafana/dashboards/mini-node-exporter.json";

/// The uid by which it is linked.
pub const UID: &str = "mini-node-exporter";

/// A dashboard.
#[derive(Clone, Debug, Deserialize)]
pub struct Dashboard {
    /// The uid by which it is linked.
    pub uid: String,
    /// The title.
    pub title: String,
    /// Panels and rows in their order; a collapsed row holds its own panels.
    #[serde(default)]
    panels: Vec<Panel>,
    #[serde(default)]
    templating: List<Variable>,
    #[serde(default)]
    annotations: List<Annotation>,
}

/// A panel, or a row.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    /// Unique in the dashboard.
    pub id: u64,
    /// What draws it: `stat`, `timeseries`, …, `row`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The title.
    #[serde(default)]
    pub title: String,
    /// Where its data comes from.
    #[serde(default)]
    pub datasource: Value,
    /// The least step of its graph, such as `30s`.
    interval: Option<String>,
    /// Its queries.
    #[serde(default)]
    pub targets: Vec<Target>,
    #[serde(default)]
    panels: Vec<Panel>,
}

/// A panel's query.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Its letter, unique in the panel.
    pub ref_id: String,
    /// The query, with Grafana's variables.
    #[serde(default)]
    pub expr: String,
    /// Whether it is an instant query.
    #[serde(default)]
    pub instant: bool,
    /// Its min step, which stands for the scrape interval.
    interval: Option<String>,
}

/// A template variable.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What *All* stands for.
    all_value: Option<String>,
    /// For a query, what finds its values; for a data source, the plugin.
    #[serde(default)]
    query: Value,
    /// What is chosen at first.
    #[serde(default)]
    current: Value,
}

/// An annotation query.
#[derive(Clone, Debug, Deserialize)]
pub struct Annotation {
    /// Its name.
    pub name: String,
    /// The query; the annotations that Grafana keeps itself have none.
    pub expr: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct List<T> {
    list: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl Dashboard {
    /// Reads a dashboard's file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        serde_json::from_str(&text).with_context(|| format!("{}: not a classic dashboard", path.display()))
    }

    /// Reads every `*.json` that lies in a directory itself, in the order of their names.
    pub fn read_all(directory: &Path) -> Result<Vec<Self>> {
        super::files(directory, &["json"])?.iter().map(|path| Self::read(path)).collect()
    }

    /// Every panel and row, those in collapsed rows too.
    pub fn panels(&self) -> Vec<&Panel> {
        fn add<'a>(panels: &'a [Panel], all: &mut Vec<&'a Panel>) {
            for panel in panels {
                all.push(panel);
                add(&panel.panels, all);
            }
        }
        let mut all = Vec::new();
        add(&self.panels, &mut all);
        all
    }

    pub fn variables(&self) -> &[Variable] {
        &self.templating.list
    }

    pub fn annotations(&self) -> &[Annotation] {
        &self.annotations.list
    }

    /// What the variables stand for as the dashboard opens: every node, and the data source that is chosen at first.
    pub fn values(&self) -> Values {
        let values = self.variables().iter().map(|variable| (variable.name.clone(), variable.opening_value()));
        variables::built_in(variables::SCRAPE_INTERVAL, Duration::ZERO).into_iter().chain(values).collect()
    }
}

impl Panel {
    /// Whether it is only the heading of those below it.
    pub fn is_row(&self) -> bool {
        self.kind == "row"
    }

    /// The macros that Grafana fills into one of its queries.
    pub fn built_in(&self, target: &Target, scrape_interval: Duration) -> Values {
        let parse = |text: &Option<String>| humantime::parse_duration(text.as_deref()?).ok();
        variables::built_in(
            parse(&target.interval).unwrap_or(scrape_interval),
            parse(&self.interval).unwrap_or_default(),
        )
    }
}

impl Variable {
    /// For a `label_values(SELECTOR, LABEL)` query, its selector and its label.
    pub fn label_values(&self) -> Option<(&str, &str)> {
        // Newer dashboards wrap the query in an object.
        let query = self.query.as_str().or_else(|| self.query.get("query")?.as_str())?;
        let (selector, label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(',')?;
        Some((selector.trim(), label.trim()))
    }

    fn opening_value(&self) -> String {
        let current = self.current.get("value");
        let chosen = current.and_then(|value| value.as_str().or_else(|| value.get(0)?.as_str())).unwrap_or("$__all");
        if chosen == "$__all" { self.all_value.clone().unwrap_or_else(|| ".+".to_owned()) } else { chosen.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"uid": "u", "title": "t",
        "panels": [{"id": 1, "type": "row", "panels": [
            {"id": 2, "type": "stat", "datasource": null, "targets": [{"refId": "A", "expr": "up"}]}]}],
        "templating": {"list": [
            {"name": "ds", "type": "datasource", "query": "prometheus", "current": {"value": "x"}},
            {"name": "node", "type": "query", "query": {"query": "label_values(up{a=\"b,c\"}, node)"},
             "current": {"value": ["$__all"]}}]}}"#;

    #[test]
    fn collapsed_panels_are_found() {
        let dashboard: Dashboard = serde_json::from_str(TEXT).unwrap();
        let panels = dashboard.panels();
        assert_eq!(panels.iter().map(|panel| panel.id).collect::<Vec<_>>(), [1, 2]);
        assert!(panels[0].is_row());
    }

    #[test]
    fn variables_open_with_all_or_what_is_chosen() {
        let dashboard: Dashboard = serde_json::from_str(TEXT).unwrap();
        let values = dashboard.values();
        assert_eq!((values["node"].as_str(), values["ds"].as_str()), (".+", "x"));
        assert_eq!(dashboard.variables()[1].label_values(), Some(("up{a=\"b,c\"}", "node")));
    }
}
