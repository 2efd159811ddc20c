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
    ($($test:ident: $name:literal, $key:literal $from:literal -> $to:literal fails $expectation:literal;)*) => {
        $(#[test]
        fn $test() -> Result<()> {
            let failed = played(&Scenario::find($name)?, &Shipped::read()?.rules)?;
            ensure!(failed.is_empty(), "{}", failed.join("\n"));
            Ok(())
        })*

        /// What is judged is the rules: the same with something moved in them.
        mod by_other_rules {
            use super::*;

            $(#[test]
            fn $test() -> Result<()> {
                // At the first step all has to be well, and by these rules that may be so no longer.
                let played = played(&Scenario::find($name)?, &moved($key, $from, $to)?);
                let said = played.map_or_else(|error| format!("{error:#}"), |failed| failed.join("\n"));
                ensure!(said.contains($expectation), "`{}` is not in: {said}", $expectation);
                Ok(())
            })*
        }

        #[test]
        fn every_shipped_scenario_has_a_test() -> Result<()> {
            let shipped: Vec<String> = Scenario::all()?.into_iter().map(|scenario| scenario.name).collect();
            ensure!(shipped == [$($name),*], "{shipped:?} are shipped");
            Ok(())
        }
    };
}

// What fails when this is moved: the contract tier sees the same of the unit test. That an alert does not fire comes true
// when it ends, for the real thing may be late; so these are alerts that never come, or go on for too long.
scenarios! {
    a_procfs_that_breaks_and_heals: "broken-procfs", "for" "5m" -> "20m" fails "CollectorFailing fires for {node=\"web-1\"} (26m)";
    a_node_that_flaps: "flapping-node", "expr" "up{job=\"mini-node-exporter\"} == 0\n" -> "min_over_time(up{job=\"mini-node-exporter\"}[15m]) == 0\n" fails "TargetDown does not fire (30m)";
    a_load_spike: "load-spike", "expr" "8 *" -> "10 *" fails "LoadHigh fires for {node=\"web-1\"} (49m)";
    a_lost_node: "node-lost", "for" "15m" -> "5m" fails "TargetDown does not fire (24m)";
    a_removed_node: "node-removed", "for" "15m" -> "90m" fails "NodeNotScraped fires for {node=\"web-3\"} (25m)";
    a_quiet_day: "quiet-day", "expr" "8 *" -> "7 *" fails "LoadHigh";
    a_reboot: "reboot", "expr" "< 1800" -> "< 2400" fails "NodeRebooted does not fire (41m)";
    a_reboot_loop: "reboot-loop", "expr" "< 1800" -> "< 2400" fails "NodeRebooted does not fire (1h 1m)";
    a_slow_climb: "slow-climb", "expr" "8 *" -> "9 *" fails "LoadHigh fires for {node=\"db-1\"} (59m)";
}

#[test]
fn a_rule_that_is_gone_is_missed() -> Result<()> {
    let rules = moved("expr", "node_scrape_collector_success", "nothing")?;
    let failed = played(&Scenario::find("broken-procfs")?, &rules)?;
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
        let at = humantime::format_duration(verdict.expectation.at);
        Some(format!("{} ({at}), line {}: {seen}", verdict.expectation.text, verdict.expectation.line))
    });
    Ok(failed.collect())
}

/// The shipped rules, in which every `expr` or `for` that has the one text has the other instead.
fn moved(key: &str, from: &str, to: &str) -> Result<Vec<RuleFile>> {
    let mut found = false;
    let mut rules = Shipped::read()?.rules;
    for file in &mut rules {
        let groups = file.groups.as_array_mut().into_iter().flatten();
        let all = groups.filter_map(|group| group.get_mut("rules")?.as_array_mut()).flatten();
        for value in all.filter_map(|rule| rule.get_mut(key)) {
            let text = value.as_str().context("no text")?.to_owned();
            found |= text.contains(from);
            *value = text.replace(from, to).into();
        }
    }
    ensure!(found, "no rule has `{from}` in `{key}`");
    Ok(rules)
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
