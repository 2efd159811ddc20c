//! A fleet: simulated nodes in one process, in two clusters whose nodes have the same names. Every check holds each
//! node against a tree of its own.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::backend::Backend as _;
use e2e::backend::local::{Fleet, Options};
use e2e::checks;
use e2e::checks::report::Outcome;
use e2e::checks::{Choice, Subject};
use e2e::stack::Procfs;
use e2e::workspace::shipped::Shipped;
use fs_err as fs;
use serde_json::Value;

use crate::lab::Lab;
use crate::passing::OF_GRAFANA;
use crate::stacks::{Altered, Own, fails, samples};

#[test]
fn every_check_holds_every_node_against_its_own_tree() -> Result<()> {
    let fleet = Fleet { nodes: 30, clusters: 2 };
    let own = Arc::new(Own::start(Options { fleet: Some(fleet), ..Options::default() })?);
    let seen = samples(&own)?;
    ensure!(
        seen.len() == 30 && seen[0].node == "cluster-1/node-01" && seen[29].node == "cluster-2/node-15",
        "{seen:?}"
    );
    for report in checks::run(Subject { backend: &own.local, shipped: &Shipped::read()? }, &Choice::default(), |_| {}) {
        let expected = match report.name {
            name if OF_GRAFANA.contains(&name) => continue,
            "targets-up" => "30 of 30 up",
            "one-target-per-node" => "30 of 30 nodes",
            "node-labels" => "120 series",
            "uptime" => "cluster-1/node-01 100000.25 s, cluster-1/node-02 102000.25 s",
            "load" => "cluster-1/node-01 0 0 0, cluster-1/node-02 0.2 1.4 2.6",
            _ => "",
        };
        let Outcome::Passed { observed, .. } = &report.outcome else { bail!("{report:?}") };
        ensure!(observed.contains(expected), "{report:?}");
    }

    // Another node's values, and a node of the same name in a cluster that is not watched.
    let trees = own.local.run().dir().join("nodes");
    let lab = Lab::new()?;
    for node in &own.local.stack().nodes {
        let other = if node == "cluster-1/node-02" { "cluster-2/node-02" } else { node };
        let (from, to) = (trees.join(other), lab.dir().join("trees").join(node));
        fs::create_dir_all(&to)?;
        for file in ["uptime", "loadavg"] {
            fs::copy(from.join(file), to.join(file))?;
        }
    }
    let swapped = Altered::of(own, |stack| stack.procfs = Procfs::Fixtures(lab.dir().join("trees")));
    fails(&swapped, "uptime", &["node_uptime of cluster-1/node-02 is 102000.25", "uptime says 103000.25"])?;
    fails(&swapped, "load", &["node_load of cluster-1/node-02 is [0.2, 1.4, 2.6]"])?;
    let fewer = swapped.and(|stack| stack.nodes.retain(|node| node != "cluster-2/node-15"));
    fails(&fewer, "one-target-per-node", &["unexpected target, on no node of this stack", "cluster-2/node-15"])?;
    fails(&fewer, "node-labels", &["has node=\"cluster-2/node-15\": not a node of this stack"])
}

/// The table has a line for each node, and the variables a choice; every other panel shows ten of them at most.
#[test]
fn every_panel_of_300_nodes_is_readable() -> Result<()> {
    let lab = Lab::new()?;
    let fleet = ["check", "--nodes", "300", "--clusters", "2", "--without", "grafana", "--format", "json"];
    let ended = lab.run(&fleet, &[])?.expect_code(0)?;
    let report: Value = serde_json::from_str(&ended.stdout).context(ended.stdout)?;
    let checks = report["checks"].as_array().context("no checks")?;
    let panels = checks.iter().find(|check| check["name"] == "panels-have-data").context("no panels")?;
    let lines: Vec<&str> =
        panels["details"].as_array().context("no details")?.iter().filter_map(Value::as_str).collect();
    for line in &lines {
        let (owner, counts) = line.split_once(": samples ").with_context(|| (*line).to_owned())?;
        let digits = |it: char| !it.is_ascii_digit();
        let most = counts.split(digits).filter_map(|count| count.parse::<usize>().ok()).max();
        let limit = if owner.contains("`Nodes`") { 300..=300 } else { 0..=10 };
        ensure!(owner.starts_with("variable") || most.is_some_and(|most| limit.contains(&most)), "{line}");
    }
    ensure!(
        lines.iter().any(|line| line.contains("`State of the nodes") && line.ends_with(": samples A 10")),
        "{lines:#?}"
    );
    lab.expect_nothing_left()
}
