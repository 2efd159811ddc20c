//! Every shipped scenario, played on real exporters and judged by a real Prometheus. The unit tests made of the same
//! files are in the `contract` tier.

use std::sync::{Condvar, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use e2e::backend::local::Options;
use e2e::scenario::{Scenario, play};
use e2e::workspace::rules::RuleFile;
use e2e::workspace::shipped::Shipped;

use crate::lab::Lab;
use crate::stacks::Own;

/// What the command line's default is.
const SPEED: u32 = 60;

macro_rules! scenarios {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() -> Result<()> {
            let failed = played(&Scenario::find($name)?, &Shipped::read()?.rules)?;
            ensure!(failed.is_empty(), "{}", failed.join("\n"));
            Ok(())
        })*

        #[test]
        fn every_shipped_scenario_has_a_test() -> Result<()> {
            let shipped: Vec<String> = Scenario::all()?.into_iter().map(|scenario| scenario.name).collect();
            ensure!(shipped == [$($name),*], "{shipped:?} are shipped");
            Ok(())
        }
    };
}

scenarios! {
    a_procfs_that_breaks_and_heals: "broken-procfs",
    a_node_that_flaps: "flapping-node",
    a_load_spike: "load-spike",
    a_lost_node: "node-lost",
    a_removed_node: "node-removed",
    a_quiet_day: "quiet-day",
    a_reboot: "reboot",
    a_reboot_loop: "reboot-loop",
    a_slow_climb: "slow-climb",
}

/// What fails as a unit test fails here too, for the same expectations.
#[test]
fn a_moved_threshold_and_a_rule_that_is_gone_are_seen() -> Result<()> {
    let rules = Shipped::read()?.rules;
    let changed = |from: &str, to: &str| -> Result<Vec<RuleFile>> {
        let change = |file: &RuleFile| {
            let text = serde_json::json!({ "groups": file.groups }).to_string();
            RuleFile::parse(&file.path, &text.replace(from, to))
        };
        rules.iter().map(change).collect()
    };
    let failed = played(&Scenario::find("load-spike")?, &changed("8 * group", "10 * group")?)?;
    ensure!(failed.len() == 3 && failed[0].contains("load_threshold") && failed[1].contains("LoadHigh"), "{failed:?}");
    let failed = played(&Scenario::find("broken-procfs")?, &changed("node_scrape_collector_success", "nothing")?)?;
    ensure!(failed.len() == 2 && failed[0].contains("CollectorFailing fires for"), "{failed:?}");
    Ok(())
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    for (words, said) in [
        (&["scenario", "run", "no-such"][..], "there is no scenario `no-such`; there are broken-procfs, "),
        (&["scenario", "run", "reboot", "--speed", "600"], "a step of 1m at speed 600 is 100 ms"),
        (&["up", "--scenario", "reboot=0"], "expected NAME or NAME=COUNT"),
        (&["up", "--scenario", "reboot", "--backend", "kind"], "`--scenario` needs `--backend local`"),
    ] {
        lab.run(words, &[])?.expect_code(2)?.expect_stderr(said)?;
    }
    let listed = lab.run(&["scenario", "list"], &[])?.expect_code(0)?.stdout;
    let line = listed.lines().find(|line| line.starts_with("load-spike ")).context("not listed")?;
    ensure!(line.contains("55m") && line.contains("55s"), "{line}");
    lab.expect_nothing_left()
}

/// Plays a scenario by these rules; gives what did not come true.
fn played(scenario: &Scenario, rules: &[RuleFile]) -> Result<Vec<String>> {
    let _turn = Turn::take();
    let own = Own::start(Options { stage: Some(play::stage(scenario, SPEED, rules)?), ..Options::default() })?;
    let verdicts = play::play(scenario, SPEED, &own.local, |_, _| Ok(()))?;
    ensure!(verdicts.len() == scenario.expectations.len(), "{verdicts:?}");
    let failed = verdicts.iter().filter_map(|verdict| {
        let seen = verdict.came_true.as_ref().err()?;
        Some(format!("{} (line {}): {seen}", verdict.expectation.text, verdict.expectation.line))
    });
    Ok(failed.collect())
}

/// So many scenarios at once: each has a Prometheus whose every second counts.
struct Turn;

static FREE: (Mutex<usize>, Condvar) = (Mutex::new(6), Condvar::new());

impl Turn {
    fn take() -> Self {
        let free = FREE.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = FREE.1.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        FREE.1.notify_one();
    }
}
