//! The dashboard.

use std::collections::BTreeSet;

use crate::catalogue::Labels;
use crate::promql::{self, Checked};
use e2e::workspace::dashboard::{Datasource, Panel};
use e2e::workspace::{queries, variables};
use serde_json::Value;

use crate::shipped::{self, CATALOGUE, DASHBOARD, DATASOURCES};
use crate::{assert_none, written};

#[test]
fn every_query_uses_metrics_and_labels_that_are_there() {
    let mut problems = Vec::new();
    let queries = queries::queries(&shipped::dashboard()).unwrap_or_else(|error| panic!("{DASHBOARD}: {error:#}"));
    for query in queries {
        let found = promql::check(&query.expr, &CATALOGUE).problems;
        problems.extend(found.into_iter().map(|problem| format!("{DASHBOARD}: {query}: {problem}")));
    }
    assert_none(&problems);
}

#[test]
fn every_legend_and_annotation_names_labels_that_its_query_gives() {
    let dashboard = shipped::dashboard();
    let mut texts = Vec::new();
    for panel in dashboard.panels() {
        for target in &panel.targets {
            texts.push((format!("{}, query {}", name(panel), target.ref_id), &target.expr, &target.legend_format));
        }
    }
    for annotation in dashboard.annotations() {
        let Some(expr) = &annotation.expr else { continue };
        for text in [&annotation.title_format, &annotation.text_format] {
            texts.push((format!("annotation `{}`", annotation.name), expr, text));
        }
    }
    let mut problems = Vec::new();
    for (owner, expr, text) in texts {
        // What is wrong with the query itself, the test above tells.
        let Ok(expr) = variables::fill(expr, &dashboard.values()) else { continue };
        let Checked { labels, problems: wrong } = promql::check(&expr, &CATALOGUE);
        if !wrong.is_empty() {
            continue;
        }
        for label in braced(text).filter(|label| !labels.contains(*label)) {
            problems.push(format!("{DASHBOARD}: {owner}: unknown label `{label}` in `{text}`: {}", list(&labels)));
        }
    }
    assert_none(&problems);
}

#[test]
fn every_data_source_is_a_variable_or_provisioned() {
    let dashboard = shipped::dashboard();
    let provisioned = provisioned();
    let mut references = Vec::new();
    for panel in dashboard.panels().into_iter().filter(|panel| !panel.is_row()) {
        references.push((name(panel), panel.datasource.as_ref()));
        for target in &panel.targets {
            references.push((format!("{}, query {}", name(panel), target.ref_id), target.datasource.as_ref()));
        }
    }
    for annotation in dashboard.annotations() {
        references.push((format!("annotation `{}`", annotation.name), annotation.datasource.as_ref()));
    }
    for variable in dashboard.variables() {
        let owner = format!("variable `{}`", variable.name);
        match variable.kind.as_str() {
            "query" => references.push((owner, variable.datasource.as_ref())),
            "datasource" => {
                let current = (text(&variable.current["text"]), text(&variable.current["value"]));
                assert!(
                    provisioned.contains(&current),
                    "{DASHBOARD}: {owner} opens with {current:?}, and {DATASOURCES} has {provisioned:?} (name, uid)"
                );
            }
            _ => {}
        }
    }

    let variables: BTreeSet<String> = dashboard
        .variables()
        .iter()
        .filter(|variable| variable.kind == "datasource")
        .map(|variable| format!("${{{}}}", variable.name))
        .collect();
    let resolves = |uid: &str| {
        uid == "-- Grafana --" || variables.contains(uid) || provisioned.iter().any(|(_, known)| known == uid)
    };
    let problems = references.into_iter().filter_map(|(owner, reference)| {
        let uid = reference.and_then(|Datasource { uid, .. }| uid.clone()).unwrap_or_default();
        (!resolves(&uid)).then(|| format!("{DASHBOARD}: {owner}: unknown data source `{uid}`"))
    });
    assert_none(&problems.collect::<Vec<_>>());
}

#[test]
fn every_panel_has_an_id_of_its_own_a_unit_and_a_description() {
    let dashboard = shipped::dashboard();
    let mut ids = BTreeSet::new();
    let mut problems = Vec::new();
    for panel in dashboard.panels() {
        let mut require = |fine: bool, problem: &str| {
            if !fine {
                problems.push(format!("{DASHBOARD}: {}: {problem}", name(panel)));
            }
        };
        require(ids.insert(panel.id), "its id is another panel's too");
        require(!panel.title.is_empty(), "no title");
        if !panel.is_row() {
            require(!panel.unit().is_empty(), "no unit");
            require(!panel.description.is_empty(), "no description");
            require(!panel.targets.is_empty(), "no query");
            let letters: BTreeSet<&String> = panel.targets.iter().map(|target| &target.ref_id).collect();
            require(letters.len() == panel.targets.len(), "two queries have the same letter");
        }
    }
    assert_none(&problems);
}

#[test]
fn no_two_panels_share_a_cell_of_the_grid() {
    let dashboard = shipped::dashboard();
    let panels = dashboard.panels();
    let mut problems = Vec::new();
    for (index, panel) in panels.iter().enumerate() {
        if panel.grid_pos.x + panel.grid_pos.w > 24 {
            problems.push(format!("{DASHBOARD}: {}: wider than the grid", name(panel)));
        }
        for other in panels[..index].iter().filter(|other| other.grid_pos.overlaps(&panel.grid_pos)) {
            problems.push(format!("{DASHBOARD}: {} overlaps {}", name(panel), name(other)));
        }
    }
    assert_none(&problems);
}

/// A healthy stack shows 0 and not "No data".
#[test]
fn counts_without_a_group_show_zero_when_there_is_nothing_to_count() {
    let dashboard = shipped::dashboard();
    let panels = dashboard.panels();
    let targets = panels.iter().flat_map(|panel| panel.targets.iter().map(move |target| (panel, target)));
    let bare =
        targets.filter(|(_, target)| target.expr.starts_with("count(") && !target.expr.ends_with("or vector(0)"));
    let problems = bare.map(|(panel, target)| {
        format!(
            "{DASHBOARD}: {}, query {}: no `or vector(0)` at the end of `{}`",
            name(panel),
            target.ref_id,
            target.expr
        )
    });
    assert_none(&problems.collect::<Vec<_>>());
}

#[test]
fn it_opens_under_its_name_with_its_variables() {
    let dashboard = shipped::dashboard();
    assert_eq!(
        (dashboard.uid.as_str(), dashboard.title.as_str()),
        ("mini-node-exporter", "mini-node-exporter-dashboard")
    );
    let variables: Vec<_> = dashboard.variables().iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(variables, ["datasource", "job", "cluster", "node", "top"]);
    // Inside a regular expression, every node; this also keeps the address short where there are 300.
    assert_eq!(dashboard.values()["node"], ".+");
}

/// What the gauges show is a share of a node's own threshold.
#[test]
fn gauges_turn_red_at_the_threshold() {
    for gauge in shipped::panels_json().iter().filter(|panel| panel["type"] == "gauge") {
        let steps = gauge["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap();
        let red = steps.iter().find(|step| step["color"] == "red").unwrap();
        assert_eq!(red["value"].as_f64(), Some(1.0), "{DASHBOARD}: panel {}", gauge["id"]);
    }
}

/// With 300 nodes, those in trouble would stand behind a scroll bar: the lowest state is `down`.
#[test]
fn nodes_in_trouble_stand_first_in_the_table() {
    let tables = shipped::panels_json().into_iter().filter(|panel| panel["type"] == "table");
    for table in tables {
        let sorted = &table["options"]["sortBy"];
        assert_eq!(sorted[0], serde_json::json!({ "displayName": "State", "desc": false }));
        let states = &table["fieldConfig"]["overrides"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["matcher"]["options"] == "State");
        let mappings = &states.unwrap()["properties"][0]["value"][0]["options"];
        let texts: Vec<_> =
            mappings.as_object().unwrap().iter().map(|(value, it)| (value.as_str(), text(&it["text"]))).collect();
        assert_eq!(texts, [("0", "down".into()), ("1", "not scraped".into()), ("2", "up".into())]);
    }
}

/// The nodes come first; how the exporter itself fares is a look away.
#[test]
fn the_row_of_the_exporter_starts_collapsed() {
    let rows = shipped::panels_json().into_iter().filter(|panel| panel["type"] == "row");
    let collapsed: Vec<_> = rows.filter(|row| row["collapsed"] == true).map(|row| text(&row["title"])).collect();
    assert_eq!(collapsed, ["Exporter"]);
}

#[test]
fn it_links_to_the_runbook() {
    let file = shipped::dashboard_json();
    let links = file["links"].as_array().unwrap();
    assert!(links.iter().any(|link| link["url"] == written::runbook()), "{DASHBOARD}: {links:?}");
}

/// Name and uid of each provisioned data source.
fn provisioned() -> Vec<(String, String)> {
    let file: Value = serde_saphyr::from_str(&shipped::read(DATASOURCES)).unwrap();
    let sources = file["datasources"].as_array().unwrap_or_else(|| panic!("{DATASOURCES}: no `datasources`"));
    sources.iter().map(|source| (text(&source["name"]), text(&source["uid"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn name(panel: &Panel) -> String {
    format!("panel {} `{}`", panel.id, panel.title)
}

/// The names in `{{…}}`.
fn braced(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()))
}

fn list(labels: &Labels) -> String {
    format!("its query gives {}", labels.iter().cloned().collect::<Vec<_>>().join(", "))
}
