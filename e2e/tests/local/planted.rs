//! The harness is worth what it catches: a table of faults that people really make, each planted in a stack of its own,
//! with the checks that fail of it, exactly those, and a word that the report must hold. `just faults` runs it.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use e2e::backend::local::{Local, Options};
use e2e::checks::{self, Subject};
use e2e::stack::Procfs;
use e2e::workspace::root;
use e2e::workspace::shipped::Shipped;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fault;
use crate::lab::{Lab, fixture};
use crate::passing::OF_GRAFANA;
use crate::stacks::{Altered, CASE, Own};

type Fault = fault::Fault<Plant>;

/// Where a fault is.
enum Plant {
    /// In Prometheus' configuration.
    Config(fn(&mut Value)),
    /// In what the exporter shows: it reads these two files instead of those that the stack is held against.
    Files { uptime: &'static str, loadavg: &'static str },
    /// In a process, once everything has run.
    Process(fn(&Local)),
    /// In the dashboard.
    Dashboard { right: &'static str, wrong: &'static str },
}

/// One test for each row.
macro_rules! faults {
    ($($name:ident => $fault:expr;)*) => {
        const TABLE: &[Fault] = &[$($fault),*];

        $(#[test]
        fn $name() -> Result<()> {
            expect(&$fault)
        })*
    };
}

/// What is left of the samples when none arrives any more.
const NO_SAMPLES: &[&str] = &["targets-up", "node-labels", "uptime", "load", "panels-have-data"];

faults! {
    a_port_that_nobody_listens_on => Fault {
        plant: Plant::Config(|config| target(config)["targets"] = json!(["127.0.0.1:1"])),
        fails: NO_SAMPLES,
        says: "http://127.0.0.1:1/metrics with node=\"worker-1\" is down",
    };
    a_wrong_scrape_path => Fault {
        plant: Plant::Config(|config| scrape(config)["metrics_path"] = json!("/metric")),
        fails: NO_SAMPLES,
        says: "404",
    };
    a_scrape_interval_of_five_minutes => Fault {
        plant: Plant::Config(|config| scrape(config)["scrape_interval"] = json!("5m")),
        fails: NO_SAMPLES,
        says: "is unknown (its scrape interval is 5m)",
    };
    a_relabelling_that_drops_every_target => Fault {
        plant: Plant::Config(|config| {
            scrape(config)["relabel_configs"] = json!([{ "source_labels": ["node"], "regex": "other", "action": "keep" }]);
        }),
        fails: &["targets-up", "one-target-per-node", "node-labels", "uptime", "load", "panels-have-data"],
        says: "finds 1, and its relabelling drops them all",
    };
    two_targets_for_a_node => Fault {
        plant: Plant::Config(|config| {
            let targets = &mut target(config)["targets"];
            let second = targets[0].as_str().unwrap_or_default().replace("127.0.0.1", "localhost");
            *targets = json!([targets[0], second]);
        }),
        fails: &["one-target-per-node"],
        says: "worker-1 has 2 targets",
    };
    no_node_label => Fault {
        plant: Plant::Config(|config| drop(labels(config).remove("node"))),
        fails: &["targets-up", "one-target-per-node", "node-labels", "uptime", "load", "panels-have-data"],
        says: "no target with a label `node` for [\"worker-1\"]",
    };
    an_address_as_instance => Fault {
        plant: Plant::Config(|config| drop(labels(config).remove("instance"))),
        fails: &["node-labels"],
        says: "not the node's name",
    };
    a_pod_label => Fault {
        plant: Plant::Config(|config| drop(labels(config).insert("pod".into(), json!("mini-node-exporter-x7k2p")))),
        fails: &["node-labels"],
        says: "has a label `pod`: its series ends at each roll-out",
    };
    a_metric_renamed => Fault {
        plant: Plant::Config(|config| rewrite(config, "__name__", "node_uptime", "node_uptime_seconds")),
        fails: &["node-labels", "uptime", "panels-have-data"],
        says: "no sample of `node_uptime` from [\"worker-1\"]",
    };
    a_duration_dropped => Fault {
        plant: Plant::Config(|config| {
            scrape(config)["metric_relabel_configs"] =
                json!([{ "source_labels": ["duration"], "regex": "15m", "action": "drop" }]);
        }),
        fails: &["load", "panels-have-data"],
        says: "node_load of worker-1 has durations [\"1m\", \"5m\"]",
    };
    load_columns_swapped => Fault {
        plant: Plant::Files { uptime: "1761.77 6531.02\n", loadavg: "0.80 0.57 0.77 2/816 12345\n" },
        fails: &["load"],
        says: "node_load of worker-1 is [0.8, 0.57, 0.77], and `loadavg` showed [[0.57, 0.8, 0.77]]",
    };
    idle_time_instead_of_uptime => Fault {
        plant: Plant::Files { uptime: "6531.02 1761.77\n", loadavg: "0.57 0.80 0.77 2/816 12345\n" },
        fails: &["uptime"],
        says: "node_uptime of worker-1 is 6531.02, and the fixture's uptime says 1761.77",
    };
    zeros_for_a_file_that_was_not_read => Fault {
        plant: Plant::Files { uptime: "1761.77 6531.02\n", loadavg: "0.00 0.00 0.00 0/0 0\n" },
        fails: &["load"],
        says: "node_load of worker-1 is [0.0, 0.0, 0.0]",
    };
    an_exporter_that_is_frozen => Fault {
        plant: Plant::Process(|local| local.exporter().into_iter().for_each(|exporter| exporter.signal(Signal::STOP))),
        fails: &["exporter-ready", "targets-up", "node-labels", "uptime", "load", "panels-have-data"],
        says: "is down (Get \"http://127.0.0.1:",
    };
    no_rules => Fault {
        plant: Plant::Config(|config| config["rule_files"] = json!([])),
        fails: &["rules-healthy", "panels-have-data"],
        says: "Prometheus has loaded no rule",
    };
    only_some_of_the_rules => Fault {
        plant: Plant::Config(|config| config["rule_files"] = json!(["rules/thresholds.yml"])),
        fails: &["rules-healthy"],
        says: "Prometheus has not loaded",
    };
    a_rule_that_fails => Fault {
        plant: Plant::Config(|config| {
            config["rule_files"] = json!(["rules/*.yml", rules("failing")]);
        }),
        fails: &["rules-healthy"],
        says: "rule `broken:evaluation` is err",
    };
    a_dashboard_query_misspelt => Fault {
        plant: Plant::Dashboard { right: "node_load{", wrong: "node_lod{" },
        fails: &["panels-have-data"],
        says: "no samples: panel",
    };
    a_dashboard_query_that_is_no_promql => Fault {
        plant: Plant::Dashboard { right: "node_load{", wrong: "node_load{{" },
        fails: &["panels-have-data"],
        says: "parse error",
    };
}

/// The Grafana checks fail on recorded answers, in the unit tests of the client.
#[test]
fn every_check_is_seen_to_fail() {
    for name in checks::names().filter(|name| !OF_GRAFANA.contains(name)) {
        assert!(TABLE.iter().any(|fault| fault.fails.contains(&name)), "no fault of the table makes `{name}` fail");
    }
}

/// It does not even start, and says why.
#[test]
fn a_rule_file_that_does_not_load() -> Result<()> {
    let started = Own::with_config(|config| config["rule_files"] = json!([rules("unreadable")]));
    let Err(error) = started else { anyhow::bail!("it started") };
    let error = format!("{error:#}");
    for part in ["the lab did not start; its logs are in", "prometheus ended with exit status", "unreadable.yml"] {
        ensure!(error.contains(part), "no `{part}` in: {error}");
    }
    Ok(())
}

fn expect(fault: &Fault) -> Result<()> {
    let mut shipped = Shipped::read()?;
    let own = match &fault.plant {
        Plant::Config(edit) => Own::with_config(*edit)?,
        Plant::Files { uptime, loadavg } => return wrong_files(fault, &shipped, uptime, loadavg),
        Plant::Process(act) => {
            let own = Own::with_config(|_| ())?;
            act(&own.local);
            own
        }
        Plant::Dashboard { right, wrong } => {
            let text = fs_err::read_to_string(root().join(e2e::workspace::dashboard::FILE))?;
            shipped.dashboards = vec![serde_json::from_str(&text.replacen(right, wrong, 1))?];
            Own::with_config(|_| ())?
        }
    };
    seen(fault, Subject { backend: &own.local, shipped: &shipped })
}

fn wrong_files(fault: &Fault, shipped: &Shipped, uptime: &str, loadavg: &str) -> Result<()> {
    let lab = Lab::new()?;
    let tree = lab.tree(CASE)?;
    fs_err::write(tree.join("uptime"), uptime)?;
    fs_err::write(tree.join("loadavg"), loadavg)?;
    let own = Own::start(Options { procfs: Some(tree), ..Options::default() })?;
    own.settle()?;
    let altered = Altered::of(own, |stack| stack.procfs = Procfs::Fixture(fixture(CASE)));
    seen(fault, Subject { backend: &altered, shipped })
}

fn seen(fault: &Fault, subject: Subject<'_>) -> Result<()> {
    fault.is_seen_in(&checks::run_all(subject, |_| {}))
}

/// The exporter's scrape job.
fn scrape(config: &mut Value) -> &mut Value {
    &mut config["scrape_configs"][0]
}

/// Its one target.
fn target(config: &mut Value) -> &mut Value {
    &mut scrape(config)["static_configs"][0]
}

fn labels(config: &mut Value) -> &mut serde_json::Map<String, Value> {
    target(config)["labels"].as_object_mut().expect("the exporter's target has labels")
}

/// Gives one label of the samples another value.
fn rewrite(config: &mut Value, label: &str, from: &str, to: &str) {
    let rule = json!({ "source_labels": [label], "regex": from, "target_label": label, "replacement": to });
    scrape(config)["metric_relabel_configs"] = json!([rule]);
}

fn rules(name: &str) -> PathBuf {
    root().join(format!("e2e/tests/local/rules/{name}.yml"))
}
