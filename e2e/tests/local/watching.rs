//! The nodes while a lab stays: `lab up`, and `lab status --watch` beside it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::wait::poll::{self, Attempt};
use regex::Regex;
use rustix::process::{Signal, kill_process};

use crate::lab::{Lab, ordinary_node};

/// Without a terminal there is a line for each change, and no table that is drawn anew.
#[test]
pub fn both_report_a_node_that_goes_down_and_returns() -> Result<()> {
    let lab = Lab::bare()?;
    let running = lab.start(&["up", &ordinary_node()], &lab.parts())?;
    let id = running.id()?;
    let status = lab.run(&["status"], &[])?.expect_code(0)?.stdout;
    ensure!(status.ends_with("\n1 of 1 nodes up\n"), "{status}");

    let watching = lab.start(&["status", "--watch"], &[])?;
    watching.wait_for("1 of 1 nodes up")?;
    let exporter = lab.process("mini-node-exporter")?;
    kill_process(exporter, Signal::STOP)?;
    for one in [&running, &watching] {
        one.wait_for("0 of 1 nodes up; down: worker-1")?;
    }
    let status = lab.run(&["status"], &[])?.expect_code(0)?.stdout;
    ensure!(status.contains("\nworker-1  -                -             -   -\n"), "{status}");
    kill_process(exporter, Signal::CONT)?;
    running.wait_for("1 of 1 nodes up")?;
    poll::until("its return", Duration::from_secs(20), Duration::from_millis(20), || match watching.written() {
        written if written.matches("1 of 1 nodes up").count() == 2 => Attempt::Ready(()),
        written => Attempt::NotYet(written),
    })?;

    lab.run(&["down"], &[])?.expect_code(0)?;
    running.expect_code(0)?;
    let watched = watching.expect_code(0)?;
    ensure!(watched.matches("node_uptime (s)").count() == 1, "{watched}");
    ensure!(watched.ends_with(&format!("1 of 1 nodes up\nrun {id} has ended\n")), "{watched}");
    lab.expect_nothing_left()
}

#[test]
fn an_interrupt_ends_the_watch_alone() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start(&["up", &ordinary_node()], &lab.parts())?;
    running.id()?;
    let watching = lab.start(&["status", "--watch"], &[])?;
    watching.wait_for("1 of 1 nodes up")?;
    watching.signal(Signal::INT)?;
    watching.expect_code(0)?;
    lab.run(&["down"], &[])?.expect_code(0)?;
    running.expect_code(0)?;
    lab.expect_nothing_left()
}

/// A killed lab cannot report its end.
#[test]
fn a_lab_that_is_killed_has_ended() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start(&["up", &ordinary_node()], &lab.parts())?;
    let id = running.id()?;
    let watching = lab.start(&["status", "--watch"], &[])?;
    watching.wait_for("1 of 1 nodes up")?;
    running.signal(Signal::KILL)?;
    let watched = watching.expect_code(0)?;
    ensure!(watched.ends_with(&format!("run {id} has ended\n")), "{watched}");
    lab.expect_no_process()
}

/// The cursor goes up, and the table is written over the one before, with what was scraped since.
#[test]
fn on_a_terminal_the_table_is_drawn_in_place() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start_on_terminal(24, &["up"], &lab.parts())?;
    let row = Regex::new(r"15m\s+\S+\s+(\d+(?:\.\d+)?)\s")?;
    let shown = poll::until("two uptimes", Duration::from_secs(60), Duration::from_millis(50), || {
        let written = running.written();
        let uptimes: BTreeSet<&str> = row.captures_iter(&written).map(|row| row.extract::<1>().1[0]).collect();
        if uptimes.len() < 2 { Attempt::NotYet(format!("{uptimes:?} in {written:?}")) } else { Attempt::Ready(written) }
    })?;
    let (_, stays) = shown.split_once(" is up until ").unwrap_or_default();
    // Up by the lines of the text, and each of them cleared.
    ensure!(stays.contains("\x1b[3A") || stays.contains("\x1b[1A\r\x1b[2K"), "the cursor never goes up in:\n{shown:?}");
    lab.run(&["down"], &[])?.expect_code(0)?;
    running.expect_code(0)?;
    lab.expect_nothing_left()
}

/// What does not fit is cut off at its end, so what is wrong comes before the nodes.
#[test]
fn on_a_terminal_of_few_rows_the_summary_is_seen() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start_on_terminal(10, &["up", "--nodes", "30"], &lab.parts()[2..])?;
    running.wait_for("30 of 30 nodes up")?;
    lab.run(&["down"], &[])?.expect_code(0)?;
    running.expect_code(0)?;
    lab.expect_nothing_left()
}
