//! The nodes while a lab stays: `lab up`, and `lab status --watch` beside it.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::process::command::Cmd;
use e2e::wait::poll::{self, Attempt};
use rustix::process::{Signal, kill_process};

use crate::lab::{Lab, ordinary_node};
use crate::running::ended;

/// Without a terminal there is a line for each change, and no table that is drawn anew.
#[test]
pub fn a_node_that_goes_and_returns_is_told_by_both() -> Result<()> {
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
fn whoever_watches_may_stop() -> Result<()> {
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

/// On a terminal, which `script` makes, the cursor goes up and the table is written over the one before.
#[test]
fn on_a_terminal_the_table_is_drawn_in_place() -> Result<()> {
    let lab = Lab::new()?;
    let words: Vec<String> = [env!("CARGO_BIN_EXE_lab"), "up", "--for", "4s"]
        .into_iter()
        .map(str::to_owned)
        .chain(lab.parts().iter().map(|part| part.to_string_lossy().into_owned()))
        .collect();
    let typed = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let script = Cmd::new("script").args(["--quiet", "--return", "--command", &typed, "/dev/null"]);
    let script = script.env("TERM", "xterm").env("XDG_STATE_HOME", lab.dir()).limit(Duration::from_secs(60));
    let shown = ended(script)?.expect_code(0)?.stdout;
    let (_, stays) = shown.split_once(" stays until 4s have passed").unwrap_or_default();
    let tables = stays.matches("node_uptime (s)").count();
    ensure!(tables >= 3, "{tables} tables in:\n{shown:?}");
    // Up by the lines of the table, and each of them cleared.
    let up = stays.matches("\x1b[3A").count() + stays.matches("\x1b[1A\r\x1b[2K").count();
    ensure!(up >= tables - 1, "the cursor went up {up} times, for {tables} tables, in:\n{shown:?}");
    lab.expect_nothing_left()
}
