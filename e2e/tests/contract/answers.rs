//! What each query of the dashboard gives on series whose answers are known: a panel that counts the wrong nodes, or
//! picks the wrong one, fails here. Two clusters whose nodes have the same names, one of them in trouble.

use std::collections::{BTreeMap, BTreeSet};

use crate::promtool::{self, Answer};
use crate::shipped;

/// A panel's id and the letter of its query.
type Query = (u64, &'static str);

/// When the queries are asked; every alert has had the time to fire.
const AT: &str = "40m";

#[test]
fn every_query_gives_the_known_answer() {
    let mut known = answers();
    let mut values = shipped::dashboard().values();
    // The panels with one line a node show one node, so that it can be told which.
    values.insert("top".to_owned(), "1".to_owned());
    values.insert("__interval".to_owned(), "1m".to_owned());
    values.insert("__rate_interval".to_owned(), "5m".to_owned());

    let mut questions = Vec::new();
    let queries = shipped::queries(&values);
    for query in queries.iter().filter(|query| query.key.0 > 0) {
        let answer = known.remove(&(query.key.0, &*query.key.1));
        let answer = answer.unwrap_or_else(|| panic!("{query}: no answer is known"));
        // Rounded, for a rate is extrapolated. What is not asked for is summed, so that a second series shows.
        let expr =
            format!("sum by (alertname, cluster, node, collector, version, revision) (round({}, 0.001))", query.expr);
        questions.push((expr, answer));
    }
    assert_eq!(known.keys().collect::<BTreeSet<_>>(), BTreeSet::new(), "no such query");
    promtool::ask(&series(), AT, &questions);
}

fn answers() -> BTreeMap<Query, Vec<Answer>> {
    let total = |value: f64| vec![("{}".to_owned(), value)];
    let nodes = |values: &[(&str, &str, f64)]| -> Vec<Answer> {
        let answer = |(cluster, node, value): &(&str, &str, f64)| {
            (format!("{{cluster=\"{cluster}\", node=\"{node}\"}}"), *value)
        };
        values.iter().map(answer).collect()
    };
    let others =
        |values: &[(&str, f64)]| values.iter().map(|(labels, value)| (format!("{{{labels}}}"), *value)).collect();
    let uptimes =
        nodes(&[("eu", "a", 600_000.0), ("us", "a", 86_400.0), ("us", "b", 1000.0), ("us", "c", 15_552_001.0)]);
    BTreeMap::from([
        // Nodes up, expected and down; failing collectors; the rules are loaded.
        ((2, "A"), total(4.0)),
        ((27, "A"), total(6.0)),
        ((3, "A"), total(2.0)),
        ((19, "A"), total(1.0)),
        ((28, "A"), total(1.0)),
        // UpTooLong fires too, and is information.
        (
            (5, "A"),
            others(&[
                ("cluster=\"eu\", alertname=\"MiniNodeExporterTargetDown\"", 1.0),
                ("cluster=\"eu\", alertname=\"MiniNodeExporterNodeNotScraped\"", 1.0),
                ("cluster=\"eu\", alertname=\"MiniNodeExporterNodesDown\"", 1.0),
                ("cluster=\"eu\", alertname=\"MiniNodeExporterCollectorFailing\"", 1.0),
                ("cluster=\"us\", alertname=\"MiniNodeExporterLoadHigh\"", 1.0),
            ]),
        ),
        // Shortest uptime.
        ((6, "A"), nodes(&[("us", "b", 1000.0)])),
        // The table: state, uptime, loads, share of the threshold.
        (
            (8, "A"),
            nodes(&[
                ("eu", "a", 2.0),
                ("eu", "b", 0.0),
                ("eu", "c", 1.0),
                ("us", "a", 2.0),
                ("us", "b", 2.0),
                ("us", "c", 2.0),
            ]),
        ),
        ((8, "B"), uptimes.clone()),
        ((8, "C"), nodes(&[("us", "a", 0.5), ("us", "b", 16.0), ("us", "c", 48.0)])),
        ((8, "D"), nodes(&[("us", "a", 6.0), ("us", "b", 4.0), ("us", "c", 12.0)])),
        ((8, "E"), nodes(&[("us", "a", 2.0), ("us", "b", 12.0), ("us", "c", 24.0)])),
        ((8, "F"), nodes(&[("us", "a", 0.25), ("us", "b", 1.5), ("us", "c", 0.25)])),
        // The worst record: down for longer than the other was gone.
        ((26, "A"), nodes(&[("eu", "b", 0.0)])),
        ((10, "A"), uptimes),
        ((11, "A"), nodes(&[("us", "b", 1000.0)])),
        // The gauges: the highest share of a threshold, not the highest load.
        ((13, "A"), nodes(&[("us", "b", 2.0)])),
        ((13, "B"), nodes(&[("us", "a", 0.75)])),
        ((13, "C"), nodes(&[("us", "b", 1.5)])),
        ((14, "A"), nodes(&[("us", "b", 1.5)])),
        ((15, "A"), nodes(&[("us", "c", 48.0)])),
        ((16, "A"), nodes(&[("us", "c", 12.0)])),
        ((17, "A"), nodes(&[("us", "c", 24.0)])),
        // The exporter.
        (
            (20, "A"),
            others(&[
                ("cluster=\"eu\", collector=\"load\"", 0.0),
                ("cluster=\"eu\", collector=\"uptime\"", 1.0),
                ("cluster=\"us\", collector=\"load\"", 1.0),
                ("cluster=\"us\", collector=\"uptime\"", 1.0),
            ]),
        ),
        (
            (21, "A"),
            others(&[
                ("cluster=\"eu\", version=\"1\", revision=\"r\"", 1.0),
                ("cluster=\"us\", version=\"1\", revision=\"r\"", 2.0),
                ("cluster=\"us\", version=\"2\", revision=\"s\"", 1.0),
            ]),
        ),
        (
            (22, "A"),
            others(&[
                ("cluster=\"eu\", collector=\"load\"", 0.25),
                ("cluster=\"eu\", collector=\"uptime\"", 0.25),
                ("cluster=\"us\", collector=\"load\"", 0.5),
                ("cluster=\"us\", collector=\"uptime\"", 0.5),
            ]),
        ),
        ((23, "A"), nodes(&[("us", "b", 0.5)])),
        ((24, "A"), nodes(&[("eu", "a", 2_000_000.0)])),
        ((25, "A"), nodes(&[("us", "c", 1.0)])),
    ])
}

/// In eu, node a has a failing collector, b is down and c is gone; in us, b is overloaded and c is old and large.
fn series() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |metric: &str, cluster: &str, node: &str, more: &str, values: &str| {
        let labels = format!("job=\"mini-node-exporter\", cluster=\"{cluster}\", node=\"{node}\", instance=\"{node}\"");
        all.push((format!("{metric}{{{labels}{more}}}"), values.to_owned()));
    };
    for (cluster, node, values) in [
        ("eu", "a", "1x60"),
        ("eu", "b", "1x9 0x50"),
        ("eu", "c", "1x14 stale"),
        ("us", "a", "1x60"),
        ("us", "b", "1x60"),
        ("us", "c", "1x60"),
    ] {
        add("up", cluster, node, "", values);
    }
    for (cluster, node, uptime, loads, version, revision, duration, memory, cpu) in [
        ("eu", "a", "600000x60", None, 1, "r", 0.25, 2_000_000, 12),
        ("us", "a", "86400x60", Some([0.5, 6.0, 2.0]), 1, "r", 0.25, 1_000_000, 6),
        ("us", "b", "1000x60", Some([16.0, 4.0, 12.0]), 1, "r", 0.5, 1_000_000, 6),
        ("us", "c", "15552001x60", Some([48.0, 12.0, 24.0]), 2, "s", 0.25, 1_000_000, 60),
    ] {
        let hostname = format!(", hostname=\"{node}\"");
        add("node_uptime", cluster, node, &hostname, uptime);
        for (length, load) in ["1m", "5m", "15m"].iter().zip(loads.into_iter().flatten()) {
            add("node_load", cluster, node, &format!("{hostname}, duration=\"{length}\""), &format!("{load}x60"));
        }
        for (collector, success) in [("load", u8::from(loads.is_some())), ("uptime", 1)] {
            let label = format!(", collector=\"{collector}\"");
            add("node_scrape_collector_success", cluster, node, &label, &format!("{success}x60"));
            add("node_scrape_collector_duration_seconds", cluster, node, &label, &format!("{duration}x60"));
        }
        let build = format!(", version=\"{version}\", revision=\"{revision}\", rustc=\"x\"");
        add("mini_node_exporter_build_info", cluster, node, &build, "1x60");
        add("scrape_duration_seconds", cluster, node, "", &format!("{duration}x60"));
        add("process_resident_memory_bytes", cluster, node, "", &format!("{memory}x60"));
        add("process_cpu_seconds_total", cluster, node, "", &format!("0+{cpu}x60"));
    }
    add("node_cpus", "us", "c", ", hostname=\"c\"", "64x60");
    // Another exporter's series count for nothing.
    all.push(("up{job=\"node-exporter\", cluster=\"eu\", node=\"a\", instance=\"a\"}".to_owned(), "0x60".to_owned()));
    all
}
