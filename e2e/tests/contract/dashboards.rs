//! The dashboard.

use std::collections::BTreeSet;

use crate::promql;
use e2e::workspace::opening::Lookup;
use e2e::workspace::queries::Queries;
use e2e::workspace::{dashboard, variables};
use regex::Regex;
use serde_json::Value;

use crate::shipped::{self, CATALOGUE, DASHBOARD, DATASOURCES, text};
use crate::{assert_none, written};

#[test]
fn every_query_uses_metrics_and_labels_that_are_there() {
    let mut problems = Vec::new();
    let nothing = |_: &Lookup| Ok(Vec::new());
    let queries = Queries::of(&[shipped::dashboard()], variables::SCRAPE_INTERVAL, &nothing).unwrap();
    for query in queries.list {
        let found = promql::check(&query.expr, &CATALOGUE).problems;
        problems.extend(found.into_iter().map(|problem| format!("{DASHBOARD}: {query}: {problem}")));
    }
    assert_none(&problems);
}

#[test]
fn every_legend_and_annotation_names_labels_that_its_query_gives() {
    let braced = Regex::new(r"\{\{\s*(.*?)\s*\}\}").unwrap();
    let mut problems = Vec::new();
    for query in shipped::queries(&shipped::dashboard().values()) {
        let labels = promql::check(&query.expr, &CATALOGUE).labels;
        for label in query.texts.iter().flat_map(|text| braced.captures_iter(text)) {
            if !labels.contains(&label[1]) {
                problems.push(format!("{query}: unknown label `{}`; its query gives {labels:?}", &label[1]));
            }
        }
    }
    assert_none(&problems);
}

/// Grafana's own is that of annotations made by hand.
#[test]
fn every_data_source_is_the_variable_which_opens_with_the_provisioned_one() {
    let dashboard = shipped::dashboard_json();
    let mut found = Vec::new();
    references(&dashboard, &mut found);
    for panel in shipped::panels_json().iter().filter(|panel| panel["type"] != "row") {
        found.push(text(&panel["datasource"]["uid"]));
        found.extend(panel["targets"].as_array().unwrap().iter().map(|target| text(&target["datasource"]["uid"])));
    }
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(Vec::from_iter(found), ["${datasource}", "-- Grafana --"], "{DASHBOARD}");

    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variable = variables.iter().find(|variable| variable["name"] == "datasource").unwrap();
    let provisioning: Value = serde_saphyr::from_str(&shipped::read(DATASOURCES)).unwrap();
    let [source] = provisioning["datasources"].as_array().unwrap().as_slice() else { panic!("there is one") };
    let current = &variable["current"];
    assert_eq!((&current["text"], &current["value"]), (&source["name"], &source["uid"]), "{DASHBOARD}, {DATASOURCES}");
}

/// The uid of each data source that is named anywhere.
fn references(value: &Value, found: &mut Vec<String>) {
    if let Some(uid) = value["datasource"].get("uid") {
        found.push(text(uid));
    }
    let fields = value.as_object().into_iter().flat_map(|fields| fields.values());
    fields.chain(value.as_array().into_iter().flatten()).for_each(|inner| references(inner, found));
}

#[test]
fn every_panel_has_an_id_of_its_own_a_unit_and_a_description() {
    let mut ids = BTreeSet::new();
    let mut problems = Vec::new();
    for panel in shipped::panels_json() {
        let mut require = |fine: bool, problem: &str| {
            if !fine {
                problems.push(format!("{DASHBOARD}: panel {} {}: {problem}", panel["id"], panel["title"]));
            }
        };
        require(ids.insert(panel["id"].to_string()), "its id is another panel's too");
        require(!text(&panel["title"]).is_empty(), "no title");
        if panel["type"] != "row" {
            require(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "no unit");
            require(!text(&panel["description"]).is_empty(), "no description");
            let targets = panel["targets"].as_array().unwrap();
            let letters: BTreeSet<String> = targets.iter().map(|target| text(&target["refId"])).collect();
            require(!targets.is_empty(), "no query");
            require(letters.len() == targets.len(), "two queries have the same letter");
        }
    }
    assert_none(&problems);
}

#[test]
fn no_two_panels_share_a_cell_of_the_grid() {
    let mut taken = BTreeSet::new();
    let mut problems = Vec::new();
    for panel in shipped::panels_json() {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        let shares =
            (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))).filter(|cell| !taken.insert(*cell)).count();
        if shares > 0 || x + w > 24 {
            problems.push(format!(
                "{DASHBOARD}: panel {} {}: overlaps, or is wider than the grid",
                panel["id"], panel["title"]
            ));
        }
    }
    assert_none(&problems);
}

/// Of a range Grafana shows the last value, however old; and it writes `No data` in the first threshold's colour.
#[test]
fn no_tile_shows_an_old_value_or_is_green_without_one() {
    let mut problems = Vec::new();
    for panel in shipped::panels_json().iter().filter(|panel| panel["type"] == "stat" || panel["type"] == "gauge") {
        let name = format!("{DASHBOARD}: panel {} {}", panel["id"], panel["title"]);
        if panel["targets"].as_array().unwrap().iter().any(|target| target["instant"] != true) {
            problems.push(format!("{name}: not an instant query"));
        }
        let defaults = &panel["fieldConfig"]["defaults"];
        if defaults["color"]["mode"] == "thresholds" && defaults["thresholds"]["steps"][0]["color"] == "green" {
            problems.push(format!("{name}: green without data"));
        }
    }
    assert_none(&problems);
}

/// Coloured by thresholds, Grafana writes `< 1`, `1+` and `2+` where the mappings say what that means.
#[test]
fn every_state_is_shown_as_its_text() {
    let panels = shipped::panels_json();
    let timelines: Vec<_> = panels.iter().filter(|panel| panel["type"] == "state-timeline").collect();
    assert!(!timelines.is_empty());
    for panel in timelines {
        assert_ne!(panel["fieldConfig"]["defaults"]["color"]["mode"], "thresholds", "{}", panel["title"]);
    }
}

/// What is unknown is shown as such, and not as 0.
#[test]
fn no_query_turns_what_is_missing_into_a_number() {
    let queries = shipped::queries(&shipped::dashboard().values()).into_iter();
    let wrong = queries.filter(|query| query.expr.contains("vector("));
    assert_none(&wrong.map(|query| format!("{query}: `vector` in `{}`", query.expr)).collect::<Vec<_>>());
}

#[test]
fn it_opens_under_the_uid_that_links_lead_to() {
    let dashboard = shipped::dashboard();
    assert_eq!((&*dashboard.uid, &*dashboard.title), (dashboard::UID, "mini-node-exporter-dashboard"));
    let links = shipped::dashboard_json()["links"].clone();
    assert!(links.as_array().unwrap().iter().any(|link| link["url"] == written::runbook()), "{DASHBOARD}: {links}");
}

/// A label that is missing is empty, which `.+` would not match.
#[test]
fn every_cluster_is_shown_where_there_is_none() {
    assert_eq!(shipped::dashboard().values()["cluster"], ".*");
}
