//! A fleet: simulated nodes in one process, in two clusters whose nodes have the same names. Every check holds each
//! node against a tree of its own.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use e2e::backend::Backend as _;
use e2e::backend::local::{Fleet, Options};
use e2e::checks;
use e2e::checks::report::Outcome;
use e2e::checks::{Choice, Subject};
use e2e::stack::{Procfs, Scraped};
use e2e::workspace::project::Project;
use fs_err as fs;

use crate::lab::Lab;
use crate::passing::is_omitted;
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
    for report in
        checks::run(Subject { backend: &own.local, project: &Project::shipped()? }, &Choice::default(), |_| {})
    {
        let expected = match report.name {
            name if is_omitted(name) => continue,
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
    for node in own.local.stack().names() {
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
    let fewer = swapped.and(|stack| {
        let fewer = stack.names().iter().filter(|node| *node != "cluster-2/node-15").cloned().collect();
        stack.scraped = Scraped::Nodes(fewer);
    });
    fails(&fewer, "one-target-per-node", &["unexpected target, on no node of this stack", "cluster-2/node-15"])?;
    fails(&fewer, "node-labels", &["has node=\"cluster-2/node-15\": not a node of this stack"])
}
