//! What reaches people: the shipped rules, sped up, on a real Prometheus, whose alerts a real Alertmanager delivers by the
//! shipped configuration.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use e2e::backend::local::{Fleet, Options, ScenarioSetup, WantedProgram, alertmanager};
use e2e::backend::{Backend as _, await_samples};
use e2e::client::alertmanager::Page;
use e2e::client::http::Server;
use e2e::client::prometheus::Labels;
use e2e::play::speed_up;
use e2e::process::command::Cmd;
use e2e::scenario::pages::{PageExpectation, Seen};
use e2e::wait::poll;
use e2e::workspace::project::Project;
use e2e::workspace::root;
use e2e::workspace::rules::RuleFile;
use rustix::process::Signal;
use serde_json::{Value, json};

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

/// What each fault keeps from being met, and the cause that is named.
struct Fault {
    /// In the configuration of Alertmanager, or in that of Prometheus.
    plant: fn(&mut Value),
    failed: &'static [(&'static str, &'static str)],
}

const DELIVERED: &str = "MiniNodeExporterNodesDown delivered to pages by 1m";
const NOT_DELIVERED: &str = "MiniNodeExporterTargetDown not delivered by 1m";
const GROUPED: &str = r#"Other{node="a"} grouped with Other{node="b"} by 1m"#;
const INHIBITED: &str = "MiniNodeExporterTargetDown inhibited by MiniNodeExporterNodesDown at 1m";

const FAULTS: [Fault; 5] = [
    Fault { plant: |_| (), failed: &[] },
    Fault {
        plant: |config| {
            config["route"]["routes"] =
                json!([{ "matchers": ["alertname=MiniNodeExporterNodesDown"], "receiver": "nobody" }]);
            config["receivers"].as_array_mut().expect("a list").push(json!({ "name": "nobody" }));
        },
        failed: &[(DELIVERED, "its route leads to the receiver `nobody`; no request to a receiver failed")],
    },
    Fault {
        plant: |config| drop(config["inhibit_rules"].as_array_mut().expect("a list").remove(0)),
        failed: &[
            (NOT_DELIVERED, "MiniNodeExporterTargetDown{CLUSTER} was delivered to `pages`"),
            (INHIBITED, "MiniNodeExporterTargetDown{CLUSTER}: its route leads to the receiver `pages`"),
        ],
    },
    Fault {
        plant: |config| config["route"]["group_by"] = json!(["..."]),
        failed: &[(GROUPED, "they were delivered in different pages")],
    },
    Fault {
        plant: |config| config["receivers"][0]["webhook_configs"][0]["url"] = json!("http://127.0.0.1:1/"),
        failed: &[
            (DELIVERED, "its route leads to the receiver `pages`; "),
            (GROUPED, r#"Other{node="a"} was not delivered: its route leads to the receiver `pages`; "#),
        ],
    },
];

/// Each fault is of a real Alertmanager, which is sent alerts as Prometheus would send them.
#[test]
fn what_keeps_a_scenarios_page_from_its_receiver_is_named() -> Result<()> {
    let Some(own) = Own::with_alertmanager()? else { return Ok(()) };
    let (stack, file) = (own.local.stack(), own.local.run().dir().join(alertmanager::CONFIG));
    let alertmanager = stack.alertmanager.here().and_then(Option::as_ref).context("no Alertmanager")?;
    let right: Value = serde_json::from_slice(&fs_err::read(&file)?)?;
    for (index, fault) in FAULTS.iter().enumerate() {
        let mut config = right.clone();
        (fault.plant)(&mut config);
        fs_err::write(&file, config.to_string())?;
        Server::new(alertmanager.base()).post("/-/reload", &Value::Null)?.text()?;
        let (began, cluster) = (SystemTime::now(), format!("fault-{index}"));
        let labels = |name: &str, node: &str| -> Labels {
            let labels = [("alertname", name), ("cluster", &cluster), ("job", "a"), ("node", node)];
            labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        };
        let lost = labels("MiniNodeExporterNodesDown", "");
        let alerts = [lost, labels("MiniNodeExporterTargetDown", "a"), labels("Other", "a"), labels("Other", "b")];
        alertmanager.send(&alerts, Duration::from_secs(60))?;
        // Longer than an alert waits for others of its group.
        poll::pause(Duration::from_secs(3))?;
        let is_own = |labels: &Labels| labels.get("cluster") == Some(&cluster);
        let seen = Seen::within(&(began..=SystemTime::now()), alertmanager, &stack.prometheus, &is_own)?;
        let judged = [DELIVERED, NOT_DELIVERED, GROUPED, INHIBITED]
            .map(|note| anyhow::Ok((note, PageExpectation::read(note)?.1.judge(&seen))));
        let mut failed = Vec::new();
        for judged in judged {
            let (note, judged) = judged?;
            failed.extend(judged.err().map(|error| (note, format!("{error:#}"))));
        }
        let cluster = format!(r#"cluster="{cluster}", job="a", node="a""#);
        let is_expected = failed.len() == fault.failed.len()
            && failed.iter().zip(fault.failed).all(|((note, seen), (expected, cause))| {
                note == expected && seen.starts_with(&cause.replace("CLUSTER", &cluster))
            });
        ensure!(is_expected, "{failed:#?}\nexpected: {:#?}", fault.failed);
    }
    own.edit_prometheus(|config| drop(config.as_object_mut().map(|config| config.remove("alerting"))))?;
    own.local.prometheus().wait_until("no Alertmanager known", Duration::from_secs(30), || {
        let seen = Seen::within(&(SystemTime::now()..=SystemTime::now()), alertmanager, &stack.prometheus, &|_| true)?;
        let judged = PageExpectation::read("Any delivered to pages by 1m")?.1.judge(&seen);
        let said = judged.map_or_else(|error| format!("{error:#}"), |()| "delivered".to_owned());
        ensure!(said == "Prometheus knows no Alertmanager; name one in `alerting` in its configuration", "{said}");
        Ok(())
    })
}

/// Whom a page is for, and how many alerts it holds, if they are of nodes that are down.
fn summary(page: &Page) -> Option<String> {
    let name = page.alerts.first()?.labels.get("alertname")?;
    let about_nodes = ["NodesDown", "TargetDown", "NodeNotScraped", "Absent"].iter().any(|end| name.ends_with(end));
    (about_nodes && page.status == "firing").then(|| format!("{}: {} {name}", page.receiver, page.alerts.len()))
}
