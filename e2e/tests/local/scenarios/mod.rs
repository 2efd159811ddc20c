//! Scenarios on real exporters and a real Prometheus: every shipped one, and three more, so that every alert is seen to
//! fire and to resolve. They run in one lab at once, each in a cluster of its own. The unit tests made of the same files
//! are in the `contract` tier.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::backend::local::Options;
use e2e::play::speed_up;
use e2e::scenario::{Expectation, Scenario, Timeline, run};
use e2e::workspace::project::Project;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr};

use crate::lab::{Lab, kill};
use crate::stacks::Own;

/// Alerts that no scenario can raise: its exporters serve plain HTTP, and this rule reads the clock.
const WITHOUT_SCENARIO: [&str; 1] = ["MiniNodeExporterCertificateExpiring"];

/// The default of the command line.
const SPEED: u32 = 60;

#[test]
fn every_scenario_passes() -> Result<()> {
    let scenarios: Vec<Scenario> = all()?.into_iter().map(clustered).collect::<Result<_>>()?;
    let scenario = together(&scenarios)?;
    let setup = run::setup(&scenario, SPEED, &Project::shipped()?)?;
    let own = Own::start(Options { scenario: Some(setup), ..Options::default() })?;
    let verdicts = run::run(&scenario, SPEED, &own.local, |_, _| Ok(()))?;
    ensure!(verdicts.len() == scenario.expectations.len(), "{verdicts:?}");
    let failed = verdicts.iter().filter_map(|verdict| {
        let seen = verdict.passed.as_ref().err()?;
        let Expectation { text, at, line, .. } = verdict.expectation;
        Some(format!("{text} ({}), line {line}: {seen}", humantime::format_duration(*at)))
    });
    let failed: Vec<String> = failed.collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

#[test]
fn every_alert_fires_and_resolves_in_a_scenario() -> Result<()> {
    let scenarios = all()?;
    let shipped = Project::shipped()?;
    for alert in shipped.alerts().filter(|alert| !WITHOUT_SCENARIO.contains(alert)) {
        let changes = |scenario: &Scenario| {
            let of_alert = scenario.expectations.iter().filter(|expectation| expectation.text.starts_with(alert));
            of_alert.map(|expectation| expectation.text.contains(" fires for ")).collect::<Vec<bool>>()
        };
        let fires_and_resolves = |scenario: &Scenario| changes(scenario).windows(2).any(|pair| pair == [true, false]);
        ensure!(
            scenarios.iter().any(fires_and_resolves),
            "no scenario in fixtures/scenarios or here sees {alert} fire and resolve"
        );
    }
    Ok(())
}

/// What was logged until then outlives the lab.
#[test]
fn a_part_that_dies_ends_a_scenario_and_leaves_evidence() -> Result<()> {
    let lab = Lab::bare()?;
    let running = lab.start(&["scenario", "run", "quiet-day"], &lab.programs())?;
    running.wait_for("quiet-day: ")?;
    kill(lab.process("prometheus")?)?;
    let written = running.expect_code(1)?;
    ensure!(written.contains("prometheus ended with signal: 9"), "{written}");
    let evidence = lab.evidence();
    ensure!(evidence.len() == 1 && written.contains(&evidence[0].display().to_string()), "{evidence:?}\n{written}");
    ensure!(evidence[0].join("prometheus.log").is_file(), "{evidence:?}");
    lab.expect_nothing_left()
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    fs_err::create_dir(lab.dir().join("empty"))?;
    fs_err::create_dir(lab.dir().join("other"))?;
    fs_err::write(lab.dir().join("other/a.yml"), "groups: [{name: g, rules: [{alert: Other, expr: up}]}]")?;
    let rules = |name: &str| format!("--rules={}", lab.dir().join(name).display());
    for (words, code, said) in [
        (&["scenario", "run", "no-such"][..], 2, "no scenario `no-such`; there are broken-procfs, "),
        (&["scenario", "run", "reboot", "--speed", "600"], 2, "a step of 1m at speed 600 is 100 ms"),
        (&["scenario", "run", "reboot", "--speed", "7"], 2, "speed 7 does not divide `1m` into whole milliseconds"),
        (&["scenario", "run", "quiet-day", &rules("empty")], 1, "no rules (*.yml, *.yaml) there"),
        (
            &["scenario", "run", "reboot", &rules("other")],
            2,
            "no rule defines the alert `MiniNodeExporterNodeRebooted`",
        ),
        (&["scenario", "run", "reboot", "--jobs", "2"], 2, "`--jobs` and `--format` are for unit tests"),
        (&["scenario", "run", "reboot", "quiet-day"], 2, "several scenarios at once"),
        (&["up", "--scenario", "reboot", "--backend", "kind"], 2, "`--scenario` needs `--backend local`"),
    ] {
        lab.run(words, &[])?.expect_code(code)?.expect_stderr(said)?;
    }
    let listed = lab.run(&["scenario", "list"], &[])?.expect_code(0)?.stdout;
    let line = listed.lines().find(|line| line.starts_with("load-spike ")).context("not listed")?;
    ensure!(line.contains("55m") && line.contains("55s"), "{line}");
    lab.expect_nothing_left()
}

/// The shipped scenarios, and those beside this file.
fn all() -> Result<Vec<Scenario>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/local/scenarios");
    let own = ["every-node-lost", "pods-evicted", "up-too-long"]
        .map(|name| Scenario::read(&dir.join(name).with_extension("yml")));
    let own = own.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(Scenario::all()?.into_iter().chain(own).collect())
}

/// The same in a cluster of the scenario's name: what is asked is about that cluster's series.
fn clustered(mut scenario: Scenario) -> Result<Scenario> {
    for timeline in &mut scenario.timelines {
        timeline.node = format!("{}/{}", scenario.name, timeline.node);
    }
    for expectation in &mut scenario.expectations {
        expectation.text = format!("{}: {}", scenario.name, expectation.text);
        for question in &mut expectation.questions {
            question.expr = in_cluster(&question.expr, &scenario.name)?;
        }
    }
    Ok(scenario)
}

/// A query of those series alone that have this cluster.
fn in_cluster(query: &str, cluster: &str) -> Result<String> {
    fn add(expr: &mut Expr, matcher: &Matcher) {
        if let Some(selector) = speed_up::selector(expr) {
            selector.matchers.matchers.push(matcher.clone());
        }
        for child in speed_up::children(expr) {
            add(child, matcher);
        }
    }
    let mut tree = parser::parse(query).map_err(|error| anyhow!("{query}: {error}"))?;
    add(&mut tree, &Matcher::new(MatchOp::Equal, "cluster", cluster));
    Ok(tree.to_string())
}

/// One scenario of all nodes and expectations. A timeline that ends before the others stays at its last step.
fn together(scenarios: &[Scenario]) -> Result<Scenario> {
    let longest = scenarios.iter().map(Scenario::steps).max().context("no scenarios")?;
    let timelines = scenarios.iter().flat_map(|scenario| scenario.timelines.iter().cloned());
    let extended = |mut timeline: Timeline| {
        let last = *timeline.steps.last().context("no steps")?;
        timeline.steps.resize(longest, last);
        Ok(timeline)
    };
    let mut expectations: Vec<_> =
        scenarios.iter().flat_map(|scenario| scenario.expectations.iter().cloned()).collect();
    expectations.sort_by_key(|expectation| expectation.at);
    let interval = Duration::from_secs(60);
    ensure!(scenarios.iter().all(|scenario| scenario.interval == interval), "every scenario has steps of a minute");
    Ok(Scenario {
        name: "all".to_owned(),
        title: "All scenarios at once.".to_owned(),
        interval,
        timelines: timelines.map(extended).collect::<Result<_>>()?,
        expectations,
    })
}
