//! Several labs at once, one, and none: `status`, `logs` and `down`.

use anyhow::{Result, ensure};
use fs_err as fs;

use crate::lab::Lab;

#[test]
pub fn labs_do_not_disturb_each_other() -> Result<()> {
    let lab = Lab::new()?;
    let one = lab.start(&["up"], &lab.parts())?;
    let two = lab.start(&["up"], &lab.parts())?;
    let (first, second) = (one.id()?, two.id()?);
    // A third one's checks pass beside them.
    lab.run(&["check"], &lab.parts())?.expect_code(0)?;

    for command in ["logs", "down"] {
        let ended = lab.run(&[command], &[])?.expect_code(2)?.expect_stderr("several labs are running")?;
        ended.expect_stderr(&first)?.expect_stderr(&second)?;
    }
    let all = lab.run(&["status"], &[])?.expect_code(0)?.stdout;
    ensure!(all.contains(&first) && all.contains(&second), "{all}");
    let ended = lab.run(&["status", "1-1"], &[])?.expect_code(1)?;
    ended.expect_stderr("no lab has the id `1-1`")?.expect_stderr(&first)?;
    let status = lab.run(&["status", &first], &[])?.expect_code(0)?.stdout;
    let address = link(&one.written(), "prometheus")?;
    for text in ["running", "exporter", "node_uptime (s)", &address] {
        ensure!(status.contains(text), "no `{text}` in:\n{status}");
    }
    let other = link(&two.written(), "prometheus")?;
    ensure!(!status.contains(&other), "{first} shows the other one's address:\n{status}");
    let logs = lab.run(&["logs", &second], &[])?.expect_code(0)?.stdout;
    ensure!(logs.contains("exporter | ") && logs.contains("prometheus | "), "{logs}");

    lab.run(&["down", &first], &[])?.expect_code(0)?;
    one.expect_code(0)?;
    // With one left its id may be left out.
    let status = lab.run(&["status"], &[])?.expect_code(0)?.stdout;
    ensure!(status.contains(&second) && status.contains(&other), "{status}");
    lab.run(&["down"], &[])?.expect_code(0)?;
    two.expect_code(0)?;
    lab.expect_nothing_left()
}

#[test]
fn no_lab() -> Result<()> {
    let lab = Lab::new()?;
    for command in ["status", "logs", "down"] {
        lab.run(&[command], &[])?.expect_code(1)?.expect_stderr("no lab is running; `cargo lab` starts one")?;
    }
    Ok(())
}

/// It holds a run as long as it takes.
#[test]
fn a_check_of_an_existing_stack_is_not_a_lab() -> Result<()> {
    let lab = Lab::new()?;
    let run = lab.dir().join("mini-node-exporter/runs/2-2");
    fs::create_dir_all(&run)?;
    fs::write(run.join("run.json"), r#"{ "pid": 1, "backend": "existing", "links": [] }"#)?;
    let lock = fs::File::create(run.join("lock"))?;
    lock.file().lock()?;
    for words in [&["status"][..], &["down"], &["down", "2-2"]] {
        lab.run(words, &[])?.expect_code(1)?.expect_stderr("no lab ")?;
    }
    Ok(())
}

/// The address that `lab up` shows for a part.
pub fn link(written: &str, part: &str) -> Result<String> {
    let row = written.lines().find(|line| line.starts_with(part) && line.contains("http://"));
    let address = row.and_then(|row| row.split_whitespace().nth(1));
    address.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no address of {part} in:\n{written}"))
}
