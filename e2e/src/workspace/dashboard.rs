//! A Grafana dashboard in its classic JSON schema, as far as it can be wrong: panels, their queries, variables,
//! annotations and data sources.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fs_err as fs;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::opening::{Lookup, Variable};
use super::variables::{self, Values};

/// The shipped dashboard, in the workspace.
pub const FILE: &str = "grafana/dashboards/mini-node-exporter.json";

/// The uid by which it is linked.
pub const UID: &str = "mini-node-exporter";

/// The types of data source that are a Prometheus. Version 13 gives those of AWS and Azure types of their own.
pub const PROMETHEUS: [&str; 3] =
    ["prometheus", "grafana-amazonprometheus-datasource", "grafana-azureprometheus-datasource"];

/// The panels that show no data, whatever queries they hold.
const WITHOUT_DATA: [&str; 7] = ["row", "text", "dashlist", "alertlist", "annolist", "news", "welcome"];

/// A dashboard.
#[derive(Clone, Debug, Deserialize)]
pub struct Dashboard {
    /// The uid by which it is linked; empty where Grafana gives it one.
    #[serde(default, deserialize_with = "or_default")]
    pub uid: String,
    /// The title.
    pub title: String,
    /// Its file; empty where it was not read from one.
    #[serde(skip)]
    pub path: PathBuf,
    /// Panels and rows in their order; a collapsed row holds its own panels.
    #[serde(default, deserialize_with = "or_default")]
    panels: Vec<Panel>,
    /// Where the panels are in a dashboard from before version 5.
    #[serde(default, deserialize_with = "or_default")]
    rows: Vec<Panel>,
    #[serde(default, deserialize_with = "or_default")]
    templating: List<Variable>,
    #[serde(default, deserialize_with = "or_default")]
    annotations: List<Annotation>,
    /// What Grafana asks for when it is imported.
    #[serde(default, rename = "__inputs", deserialize_with = "or_default")]
    inputs: Vec<Input>,
    /// Its model, if Grafana cannot be provisioned with the file as it is: one that wraps it, or has inputs.
    #[serde(skip)]
    model: Option<Value>,
}

/// A panel, or a row.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Panel {
    /// Unique in the dashboard; 0 where Grafana gives it one.
    #[serde(deserialize_with = "or_default")]
    pub id: u64,
    /// What draws it: `stat`, `timeseries`, …, `row`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The title.
    #[serde(deserialize_with = "or_default")]
    pub title: String,
    /// Where its data comes from.
    pub datasource: Value,
    /// The variable for each of whose values it is shown once.
    #[serde(deserialize_with = "or_default")]
    repeat: String,
    /// The least step of its graph, such as `30s`.
    interval: Option<String>,
    /// Its queries.
    #[serde(deserialize_with = "or_default")]
    pub targets: Vec<Target>,
    /// Present where the panel is kept outside the dashboard.
    pub library_panel: Option<Value>,
    #[serde(deserialize_with = "or_default")]
    panels: Vec<Panel>,
}

/// A panel's query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Target {
    /// Its letter, unique in the panel; empty where Grafana gives it one.
    #[serde(deserialize_with = "or_default")]
    pub ref_id: String,
    /// The query, with Grafana's variables.
    #[serde(deserialize_with = "or_default")]
    pub expr: String,
    /// Whether it is an instant query.
    #[serde(deserialize_with = "or_default")]
    pub instant: bool,
    /// Whether it is not run.
    #[serde(deserialize_with = "or_default")]
    pub hide: bool,
    /// Where its data comes from, if not from where the panel's does.
    pub datasource: Value,
    /// Its min step, which stands for the scrape interval.
    interval: Option<String>,
    interval_factor: Option<u32>,
}

/// An annotation query.
#[derive(Clone, Debug, Deserialize)]
pub struct Annotation {
    /// Its name.
    pub name: String,
    /// The query; the annotations that Grafana keeps itself have none.
    pub expr: Option<String>,
    #[serde(default)]
    pub datasource: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    list: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: String,
    /// For a data source, its plugin.
    plugin_id: Option<String>,
    /// For a constant, its value.
    value: Option<String>,
}

impl Dashboard {
    /// Reads a dashboard's file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let read = Self::parse(&text).with_context(|| path.display().to_string())?;
        Ok(Self { path: std::path::absolute(path)?, ..read })
    }

    /// Reads a dashboard's text: alone, as Grafana's API wraps it, or as a Kubernetes object.
    pub fn parse(text: &str) -> Result<Self> {
        let file: Value = serde_json::from_str(text).context("not a classic dashboard")?;
        let mut model = &file;
        for wrapper in ["dashboard", "spec"] {
            model = model.get(wrapper).filter(|inner| inner.is_object()).unwrap_or(model);
        }
        ensure!(
            !model["elements"].is_object(),
            "a dashboard in Grafana's schema V2, which `lab` does not read; export it as JSON with the model `Classic`"
        );
        let mut dashboard = Self::deserialize(model).context("not a classic dashboard")?;
        if dashboard.uid.is_empty() {
            file["metadata"]["name"].as_str().unwrap_or_default().clone_into(&mut dashboard.uid);
        }
        if *model != file || !dashboard.inputs.is_empty() {
            dashboard.model = Some(model.clone());
        }
        Ok(dashboard)
    }

    /// What Grafana makes of it when it is imported with this Prometheus: its model with the inputs filled in; `None` if
    /// that is the file as it is.
    pub fn imported(&self, datasource: &str) -> Option<Value> {
        let mut model = self.model.clone()?;
        for input in &self.inputs {
            let is_prometheus = input.plugin_id.as_deref().is_some_and(|plugin| PROMETHEUS.contains(&plugin));
            let value = input.value.as_deref().or(is_prometheus.then_some(datasource));
            if let Some(value) = value {
                fill_in(&mut model, &format!("${{{}}}", input.name), value);
            }
        }
        let fields = model.as_object_mut()?;
        fields.remove("__inputs");
        if !self.uid.is_empty() {
            fields.insert("uid".into(), self.uid.as_str().into());
        }
        Some(model)
    }

    /// Whether a data source is one that is chosen when the dashboard is imported.
    pub fn is_input(&self, datasource: &str) -> bool {
        self.inputs.iter().any(|input| datasource == format!("${{{}}}", input.name))
    }

    /// Every panel and row, those in collapsed rows too.
    pub fn panels(&self) -> Vec<&Panel> {
        self.repeated().into_iter().map(|(panel, _)| panel).collect()
    }

    /// As [`Dashboard::panels`], with the variables for whose values the panel or its row is repeated.
    pub fn repeated(&self) -> Vec<(&Panel, [&str; 2])> {
        let mut all = Vec::new();
        let mut row = "";
        for panel in &self.panels {
            if panel.is_row() {
                row = &panel.repeat;
            }
            all.push((panel, [row, &panel.repeat]));
            all.extend(panel.panels.iter().map(|inner| (inner, [row, inner.repeat.as_str()])));
        }
        let old = self.rows.iter().flat_map(|row| row.panels.iter().map(move |panel| (panel, &row.repeat)));
        all.extend(old.map(|(panel, row)| (panel, [row.as_str(), &panel.repeat])));
        all
    }

    pub fn variables(&self) -> &[Variable] {
        &self.templating.list
    }

    pub fn annotations(&self) -> &[Annotation] {
        &self.annotations.list
    }

    /// What the variables stand for before anything is asked: every node, and the data source that is chosen at first.
    pub fn values(&self) -> Values {
        let variables = self.variables().iter().map(|variable| (variable.name.clone(), variable.unopened()));
        let inputs = self.inputs.iter().filter_map(|input| Some((input.name.clone(), input.value.clone()?)));
        variables::built_in(variables::SCRAPE_INTERVAL, Duration::ZERO, 1)
            .into_iter()
            .chain(inputs)
            .chain(variables)
            .collect()
    }

    /// What the variables stand for as the dashboard opens, and which of them have several values, by what `find` finds.
    pub fn opened(&self, find: &dyn Fn(&Lookup) -> Result<Vec<String>>) -> Result<(Values, Values)> {
        let (mut values, mut first) = (self.values(), Values::new());
        for variable in self.variables() {
            let lookup = variable.lookup(&values)?.filter(|_| self.other_source([&variable.datasource]).is_none());
            let found = lookup.as_ref().map(find).transpose()?.unwrap_or_default();
            let opened = variable.opened(found)?;
            for (format, text) in opened.texts {
                // A constant may be one that is asked for when the dashboard is imported.
                let text = variables::fill(&text, &values).unwrap_or(text);
                values.insert(variables::formatted(&variable.name, format), text);
            }
            let texts = opened.first.into_iter();
            first.extend(texts.map(|(format, text)| (variables::formatted(&variable.name, format), text)));
        }
        Ok((values, first))
    }

    /// The plugin of the data source of a query, where it is known and no Prometheus. The first of these that names one
    /// counts: the query's own, then its panel's.
    pub fn other_source<'v>(&self, datasources: impl IntoIterator<Item = &'v Value>) -> Option<String> {
        let is_mixed = |value: &Value| [value, &value["uid"]].iter().any(|name| **name == "-- Mixed --");
        let named = datasources.into_iter().find(|value| !value.is_null() && !is_mixed(value))?;
        let by_name = |name: &Value| self.plugin(name.as_str()?);
        let plugin =
            by_name(named).or_else(|| by_name(&named["uid"])).or_else(|| Some(named["type"].as_str()?.to_owned()));
        plugin.filter(|plugin| !PROMETHEUS.contains(&plugin.as_str()))
    }

    /// The plugin of a data source that a variable or an input stands for, or that is Grafana itself.
    fn plugin(&self, name: &str) -> Option<String> {
        if name.starts_with("-- ") {
            return Some("grafana".to_owned());
        }
        let name = name.strip_prefix('$')?.trim_start_matches('{').trim_end_matches('}');
        let variable = self.variables().iter().find(|variable| variable.name == name && variable.kind == "datasource");
        let of_variable = variable.and_then(|variable| variable.query.as_str().map(str::to_owned));
        of_variable.or_else(|| self.inputs.iter().find(|input| input.name == name)?.plugin_id.clone())
    }
}

impl Panel {
    /// Whether it is only the heading of those below it.
    pub fn is_row(&self) -> bool {
        self.kind == "row"
    }

    /// Whether Grafana runs its queries.
    pub fn shows_data(&self) -> bool {
        !WITHOUT_DATA.contains(&self.kind.as_str())
    }

    /// The macros that Grafana fills into one of its queries.
    pub fn built_in(&self, target: &Target, scrape_interval: Duration) -> Values {
        let parse = |text: &Option<String>| humantime::parse_duration(text.as_deref()?).ok();
        variables::built_in(
            parse(&target.interval).unwrap_or(scrape_interval),
            parse(&self.interval).unwrap_or_default(),
            target.interval_factor.unwrap_or(1).max(1),
        )
    }
}

/// The uid or name that a query's own data source has in the file, or else its panel's; `None` where it is a variable, or
/// the default one.
pub fn named_source<'v>(datasources: impl IntoIterator<Item = &'v Value>) -> Option<&'v str> {
    let mut named = datasources.into_iter().filter_map(|value| value["uid"].as_str().or(value.as_str()));
    named
        .find(|name| *name != "-- Mixed --")
        .filter(|name| !name.is_empty() && !name.starts_with('$') && *name != "default")
}

/// Replaces a name in every text of a document.
fn fill_in(document: &mut Value, name: &str, value: &str) {
    match document {
        Value::String(text) => *text = text.replace(name, value),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, name, value)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill_in(field, name, value)),
        _ => {}
    }
}

/// What stands there, or the default where that is `null`.
pub(super) fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
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
        let values = Dashboard::parse(TEXT).unwrap().values();
        assert_eq!((values["node"].as_str(), values["ds"].as_str()), (".+", "x"));
    }

    #[test]
    fn each_variable_opens_by_what_those_before_it_stand_for() {
        let text = r#"{"title": "t", "__inputs": [{"name": "VAR_P", "type": "constant", "value": "node"}],
            "templating": {"list": [
              {"name": "p", "type": "constant", "query": "${VAR_P}"},
              {"name": "job", "type": "query", "refresh": 1, "query": "label_values(${p}_info, job)"},
              {"name": "node", "type": "query", "refresh": 1, "query": "label_values(up{job=\"$job\"}, instance)"},
              {"name": "logs", "type": "query", "datasource": {"type": "loki"}, "query": "label_values(x, y)"}]}}"#;
        let asked = std::cell::RefCell::new(Vec::new());
        let find = |lookup: &Lookup| {
            asked.borrow_mut().push(lookup.query().unwrap());
            Ok(vec![format!("value{}", asked.borrow().len())])
        };
        let (values, _) = Dashboard::parse(text).unwrap().opened(&find).unwrap();
        let queries = ["group by (job) (node_info)", "group by (instance) (up{job=\"value1\"})"];
        assert_eq!(*asked.borrow(), queries);
        assert_eq!((values["p"].as_str(), values["node"].as_str()), ("node", "value2"));
    }

    #[test]
    fn a_dashboard_is_read_in_every_wrapping_but_schema_v2() {
        let read = |text: &str| Dashboard::parse(text).map(|it| (it.uid, it.panels.len() + it.rows.len()));
        let old =
            r#"{"uid": null, "title": "t", "rows": [{"panels": [{"type": "graph", "title": null, "targets": null}]}]}"#;
        assert_eq!(read(old).unwrap(), (String::new(), 1));
        assert_eq!(read(r#"{"dashboard": {"uid": "u", "title": "t"}, "meta": {}}"#).unwrap(), ("u".into(), 0));
        let resource =
            r#"{"apiVersion": "dashboard.grafana.app/v1", "metadata": {"name": "n"}, "spec": {"title": "t"}}"#;
        assert_eq!(read(resource).unwrap(), ("n".into(), 0));
        assert_eq!(read("[]").unwrap_err().to_string(), "not a classic dashboard");
        for text in [r#"{"title": "t", "elements": {}, "layout": {}}"#, r#"{"spec": {"title": "t", "elements": {}}}"#] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("schema V2") && error.contains("`Classic`"), "{error}");
        }
    }
}
