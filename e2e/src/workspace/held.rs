//! What Grafana holds of a dashboard, compared with the file it was provisioned from. Grafana adds fields of its own and
//! moves old ones to newer places, so that only what people see and query is compared.

use std::collections::BTreeMap;

use crate::workspace::dashboard::{Dashboard, Panel, Target};

/// The types of panel for which newer versions have others.
const REPLACED: [&str; 4] = ["graph", "singlestat", "table-old", "grafana-piechart-panel"];

/// In what the dashboard that Grafana holds differs from the file, one line each.
pub fn differences(file: &Dashboard, held: &Dashboard) -> Vec<String> {
    let mut lines = Lines::default();
    if !file.uid.is_empty() {
        lines.compare("uid", &file.uid, &held.uid);
    }
    lines.compare("title", &file.title, &held.title);
    lines.compare("variables", &variables(file), &variables(held));

    let held: BTreeMap<u64, &Panel> = held.panels().into_iter().map(|panel| (panel.id, panel)).collect();
    let wanted: BTreeMap<u64, &Panel> = file.panels().into_iter().map(|panel| (panel.id, panel)).collect();
    for (id, panel) in &wanted {
        match held.get(id) {
            None => lines.0.push(format!("panel {id} `{}` is missing", panel.title)),
            Some(held) => lines.compare_panels(panel, held, file.is_input(datasource(panel))),
        }
    }
    // Grafana makes rows of what older dashboards have instead of them.
    for (id, panel) in held.iter().filter(|(id, panel)| !wanted.contains_key(*id) && !panel.is_row()) {
        lines.0.push(format!("panel {id} `{}` is not in the file", panel.title));
    }
    lines.0
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn compare(&mut self, what: &str, file: &str, held: &str) {
        if file != held {
            self.0.push(format!("{what}: `{held}`, but `{file}` in the file"));
        }
    }

    /// `is_chosen` says that the data source was chosen when the dashboard was imported.
    fn compare_panels(&mut self, file: &Panel, held: &Panel, is_chosen: bool) {
        if file.library_panel.is_some() {
            return;
        }
        let what = |field: &str| format!("the {field} of panel {} `{}`", file.id, file.title);
        if !REPLACED.contains(&file.kind.as_str()) {
            self.compare(&what("type"), &file.kind, &held.kind);
        }
        self.compare(&what("title"), &file.title, &held.title);
        // A row shows no data; newer versions drop or add its data source at will.
        if !file.is_row() && !is_chosen {
            self.compare(&what("data source"), datasource(file), datasource(held));
        }
        let has_letters = file.targets.iter().all(|target| !target.ref_id.is_empty());
        self.compare(&what("queries"), &queries(file, has_letters), &queries(held, has_letters));
    }
}

fn variables(dashboard: &Dashboard) -> String {
    dashboard.variables().iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn datasource(panel: &Panel) -> &str {
    panel.datasource["uid"].as_str().or(panel.datasource.as_str()).unwrap_or_default()
}

fn queries(panel: &Panel, has_letters: bool) -> String {
    let query = |target: &Target| {
        if has_letters { format!("{}: {}", target.ref_id, target.expr) } else { target.expr.clone() }
    };
    panel.targets.iter().map(query).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"uid": "u", "title": "t",
        "panels": [{"id": 2, "type": "stat", "title": "Up",
            "datasource": {"type": "prometheus", "uid": "${ds}"}, "targets": [{"refId": "A", "expr": "up"}]}],
        "templating": {"list": [{"name": "ds", "type": "datasource"}]}}"#;

    fn dashboard(text: &str) -> Dashboard {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_grafana_adds_is_no_difference() {
        let held = FILE.replace("\"uid\": \"u\"", "\"uid\": \"u\", \"id\": 7, \"schemaVersion\": 41, \"version\": 3");
        assert_eq!(differences(&dashboard(FILE), &dashboard(&held)), [""; 0]);
    }

    #[test]
    fn the_data_source_with_which_a_dashboard_was_imported_is_no_difference() {
        let file = FILE.replace("\"uid\": \"u\"", r#""__inputs": [{"name": "ds", "type": "datasource"}], "uid": "u""#);
        assert_eq!(differences(&dashboard(&file), &dashboard(&FILE.replace("${ds}", "chosen"))), [""; 0]);
    }

    #[test]
    fn each_field_that_matters_is_compared() {
        for (from, to, line) in [
            ("\"t\"", "\"x\"", "title: `x`, but `t` in the file"),
            ("\"ds\"", "\"data\"", "variables: `data`, but `ds` in the file"),
            ("\"id\": 2", "\"id\": 3", "panel 2 `Up` is missing"),
            ("\"id\": 2", "\"id\": 3", "panel 3 `Up` is not in the file"),
            ("stat", "gauge", "the type of panel 2 `Up`: `gauge`, but `stat` in the file"),
            ("${ds}", "${x}", "the data source of panel 2 `Up`: `${x}`, but `${ds}` in the file"),
            ("\"expr\": \"up\"", "\"expr\": \"x\"", "the queries of panel 2 `Up`: `A: x`, but `A: up` in the file"),
        ] {
            let found = differences(&dashboard(FILE), &dashboard(&FILE.replace(from, to)));
            assert!(found.contains(&line.to_owned()), "{found:?}");
        }
    }
}
