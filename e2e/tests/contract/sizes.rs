//! How many series each panel shows of a fleet: 300 nodes in two clusters, whose nodes have the same names. A panel that
//! draws a line for each of them is not readable.

use std::collections::BTreeMap;

use crate::{promtool, shipped};

const CLUSTERS: [&str; 2] = ["eu", "us"];
const NODES: usize = 150;

/// The series of each query, by panel and letter; a query that is not here gives one.
const SIZES: [(u64, &str, usize); 22] = [
    // The table has every node.
    (8, "A", 300),
    (8, "B", 300),
    (8, "C", 300),
    (8, "D", 300),
    (8, "E", 300),
    (8, "F", 300),
    // A stat for each of the eight that booted last.
    (10, "A", 8),
    // One line a node: the ten highest, by the variable `top`.
    (11, "A", 10),
    (14, "A", 10),
    (15, "A", 10),
    (16, "A", 10),
    (17, "A", 10),
    (23, "A", 10),
    (24, "A", 10),
    (25, "A", 10),
    (26, "A", 10),
    // By cluster, and by collector or version.
    (20, "A", 4),
    (21, "A", 2),
    (22, "A", 4),
    // The highest of each duration.
    (13, "A", 1),
    (13, "B", 1),
    (13, "C", 1),
];

#[test]
fn every_panel_of_a_fleet_of_300_nodes_shows_as_many_series_as_can_be_read() {
    let sizes: BTreeMap<_, _> = SIZES.into_iter().map(|(id, letter, size)| ((id, letter), size)).collect();
    let mut values = shipped::dashboard().values();
    values.insert("__rate_interval".to_owned(), "5m".to_owned());
    // A sample a minute, and promtool gives a query room for 10,000.
    values.insert("__interval".to_owned(), "1m".to_owned());
    values.insert("__range".to_owned(), "3m".to_owned());
    let mut questions = Vec::new();
    for query in shipped::queries(&values).iter().filter(|query| query.key.0 > 0) {
        let size = sizes.get(&(query.key.0, &*query.key.1)).copied().unwrap_or(1);
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        questions.push((format!("count({})", query.expr), vec![("{}".to_owned(), size as f64)]));
    }
    promtool::ask(&fleet(), "10m", &questions);
}

fn fleet() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (cluster, index) in CLUSTERS.iter().flat_map(|cluster| (0..NODES).map(move |index| (cluster, index))) {
        let node = format!("node-{index:03}");
        let labels = format!("job=\"mini-node-exporter\", cluster=\"{cluster}\", node=\"{node}\", instance=\"{node}\"");
        let mut add = |metric: &str, more: &str, values: String| {
            all.push((format!("{metric}{{{labels}{more}}}"), values));
        };
        add("up", "", format!("{}x10", u8::from(index > 3)));
        add("node_uptime", &format!(", hostname=\"{node}\""), format!("{}+60x10", 1000 + index));
        for (length, load) in [("1m", index), ("5m", index / 2), ("15m", index / 4)] {
            let labels = format!(", hostname=\"{node}\", duration=\"{length}\"");
            // The order changes from minute to minute, and with it the ten highest.
            add("node_load", &labels, format!("{load}x8 {} {load}", NODES - index));
        }
        for collector in ["load", "uptime"] {
            let label = format!(", collector=\"{collector}\"");
            add("node_scrape_collector_success", &label, "1x10".to_owned());
            add("node_scrape_collector_duration_seconds", &label, "0.001x10".to_owned());
        }
        add("mini_node_exporter_build_info", ", version=\"1\", revision=\"r\", rustc=\"x\"", "1x10".to_owned());
        add("scrape_duration_seconds", "", format!("0.{index:03}x10"));
        add("process_resident_memory_bytes", "", format!("{}x10", 2_000_000 + index));
        add("process_cpu_seconds_total", "", format!("0+{index}x10"));
    }
    all
}
