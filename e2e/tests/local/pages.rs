//! What reaches people: the shipped rules, sped up, on a real Prometheus, whose alerts a real Alertmanager delivers by the
//! shipped configuration.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::local::{Fleet, Options, ScenarioSetup, WantedProgram};
use e2e::backend::{Backend as _, await_samples};
use e2e::client::alertmanager::Page;
use e2e::client::prometheus::Labels;
use e2e::play::speed_up;
use e2e::process::command::Cmd;
use e2e::wait::poll;
use e2e::workspace::project::Project;
use e2e::workspace::root;
use e2e::workspace::rules::RuleFile;
use rustix::process::Signal;

use crate::lab;
use crate::stacks::Own;

/// How many times as fast an alert fires.
const SPEED: u32 = 60;

const NODES: usize = 300;

/// As after the loss of a data centre's network: each node is down, and would be an alert of its own.
#[test]
fn three_hundred_nodes_down_are_one_page() -> Result<()> {
    let Some(program) = lab::alertmanager() else { return Ok(()) };
    let sped_up = |file: &RuleFile| RuleFile::parse(&file.path, &speed_up::rules(file, SPEED)?.text);
    let shipped = Project::shipped()?;
    let rules = shipped.rules.iter().map(sped_up).collect::<Result<_>>()?;
    let alertmanager = speed_up::alertmanager(&shipped.alertmanager_config()?, SPEED)?;
    let interval = Duration::from_secs(1);
    let own = Own::start(Options {
        fleet: Some(Fleet { nodes: NODES, clusters: 1 }),
        scenario: Some(ScenarioSetup {
            nodes: Vec::new(),
            rules,
            omitted: Vec::new(),
            alertmanager,
            external_labels: Labels::new(),
            interval,
            lookback: None,
        }),
        alertmanager: Some(WantedProgram::File(program)),
        ..Options::default()
    })?;
    await_samples(&own.local)?;
    let alertmanager = own.local.stack().alertmanager.here().and_then(Option::as_ref).context("no Alertmanager")?;
    let pages = alertmanager.pages().context("no sink")?;
    let fleet = own.local.exporter().context("no fleet")?;

    fleet.signal(Signal::STOP);
    let each = own.local.prometheus().wait_until("an alert for each node", Duration::from_secs(120), || {
        let held = alertmanager.alerts("alertname", "MiniNodeExporterTargetDown")?;
        let inhibited = held.iter().filter(|alert| alert.is_inhibited()).count();
        ensure!(held.len() == NODES, "{} of {NODES} nodes raise an alert, {inhibited} of them inhibited", held.len());
        Ok(())
    });
    // Longer than an alert waits for others of its group.
    poll::pause(Duration::from_secs(3))?;
    fleet.signal(Signal::CONT);
    each?;
    let about_nodes: Vec<String> = pages.all().iter().filter_map(summary).collect();
    ensure!(about_nodes == ["pages: 1 MiniNodeExporterNodesDown"], "{about_nodes:?}");
    Ok(())
}

/// Of which the lab uses all but what receivers are made of.
#[test]
fn amtool_accepts_the_shipped_configuration() -> Result<()> {
    let Some(program) = lab::alertmanager() else { return Ok(()) };
    let amtool = program.with_file_name("amtool");
    Cmd::new(amtool).arg("check-config").arg(root().join("kustomize/alertmanager/alertmanager.yml")).run()?;
    Ok(())
}

/// Whom a page is for, and how many alerts it holds, if they are of nodes that are down.
fn summary(page: &Page) -> Option<String> {
    let name = page.alerts.first()?.labels.get("alertname")?;
    let about_nodes = ["NodesDown", "TargetDown", "NodeNotScraped", "Absent"].iter().any(|end| name.ends_with(end));
    (about_nodes && page.status == "firing").then(|| format!("{}: {} {name}", page.receiver, page.alerts.len()))
}
