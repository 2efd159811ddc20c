//! The one stack that all these tests share and none changes. Every check of it passes, with exact values; and fails
//! where something else is expected of it.

use std::net::TcpListener;

use anyhow::{Result, bail, ensure};
use e2e::checks;
use e2e::checks::Subject;
use e2e::checks::report::Outcome;
use e2e::client::exporter::Exporter;
use e2e::stack::Procfs;
use e2e::stack::samples::NodeSamples;
use e2e::workspace::shipped::Shipped;
use fs_err as fs;

use crate::lab::{Lab, fixture};
use crate::passing::OF_GRAFANA;
use crate::stacks::{Altered, CASE, fails, samples, shared};

#[test]
fn every_check_passes_with_exact_values() -> Result<()> {
    let shared = shared()?;
    let samples = samples(&shared)?;
    ensure!(
        samples == [NodeSamples { node: "worker-1".into(), uptime: 1761.77, load: [0.57, 0.8, 0.77] }],
        "{samples:?}"
    );
    for report in checks::run_all(Subject { backend: &shared.local, shipped: &Shipped::read()? }, |_| {}) {
        let expected = match report.name {
            name if OF_GRAFANA.contains(&name) => {
                ensure!(matches!(report.outcome, Outcome::Omitted), "{report:?}");
                continue;
            }
            "uptime" => "worker-1 1761.77 s, exactly the fixture's value",
            "load" => "worker-1 0.57 0.8 0.77, as in `loadavg`",
            "node-labels" => "4 series with node = instance = hostname, job = mini-node-exporter",
            "targets-up" => "1 of 1 up",
            "one-target-per-node" => "1 of 1 nodes",
            _ => "",
        };
        let Outcome::Passed { observed, .. } = &report.outcome else { bail!("{report:?}") };
        ensure!(observed.contains(expected), "{report:?}");
    }
    Ok(())
}

#[test]
fn an_exporter_that_does_not_answer() -> Result<()> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let altered = Altered::shared(|stack| stack.exporters = vec![Exporter::new(format!("http://{address}"))])?;
    fails(&altered, "exporter-ready", &[&format!("{address}/healthz/ready"), "refused"])
}

#[test]
fn a_node_without_a_target() -> Result<()> {
    let altered = Altered::shared(|stack| stack.nodes.extend(["worker-2".to_owned()]))?;
    fails(&altered, "targets-up", &["no target with a label `node` for worker-2"])?;
    fails(&altered, "one-target-per-node", &["worker-2 has 0 targets"])?;
    fails(&altered, "node-labels", &["no `node_uptime` with node=\"worker-2\""])?;
    fails(&altered, "uptime", &["no sample of `node_uptime` from worker-2"])?;
    fails(&altered, "load", &["node_load of worker-2 has durations []"])
}

#[test]
fn a_node_of_another_name() -> Result<()> {
    let altered = Altered::shared(|stack| stack.nodes = ["worker-2".into()].into())?;
    fails(&altered, "one-target-per-node", &["unexpected target, on no node of this stack", "node=\"worker-1\""])?;
    fails(&altered, "node-labels", &["no `node_uptime` with node=\"worker-2\"", "node_uptime{node=\"worker-1\"}"])
}

#[test]
fn values_that_differ_from_the_tree() -> Result<()> {
    let lab = Lab::new()?;
    let tree = lab.tree(CASE)?;
    fs::write(tree.join("uptime"), "1761.78 6531.02\n")?;
    fs::write(tree.join("loadavg"), "0.57 0.80 0.78 2/816 12345\n")?;
    let altered = Altered::shared(|stack| stack.procfs = Procfs::Fixture(tree))?;
    fails(&altered, "uptime", &["node_uptime of worker-1 is 1761.77", "says 1761.78"])?;
    fails(&altered, "load", &["node_load of worker-1 is [0.57, 0.8, 0.77]", "said [[0.57, 0.8, 0.78]]"])
}

/// An exporter that shows another figure than the uptime, such as the idle time beside it.
#[test]
fn an_uptime_that_is_not_the_kernels() -> Result<()> {
    let altered = Altered::shared(|stack| stack.procfs = Procfs::Live("/proc".into()))?;
    fails(&altered, "uptime", &["node_uptime of worker-1 is 1761.77, but the kernel says"])
}

/// A fixture tree where a live one is expected: its uptime agrees, and does not grow.
#[test]
fn an_uptime_that_stands_still() -> Result<()> {
    let altered = Altered::shared(|stack| stack.procfs = Procfs::Live(fixture(CASE)))?;
    fails(&altered, "uptime", &["uptime growing", "node_uptime of worker-1 is 1761.77 and was 1761.77 before"])
}
