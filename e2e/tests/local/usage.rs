//! The command line of `lab`: its help, what it refuses, what it does without the programs that it needs, and its exit
//! codes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::process::command::Cmd;

use crate::lab::{Lab, ordinary_node};
use crate::running::ended;

#[test]
pub fn help() -> Result<()> {
    let lab = Lab::new()?;
    for (command, help) in helps(&lab)? {
        let name = format!("help {command}").trim_end().replace(' ', "-");
        lab.assert_snapshot(&name, &help);
    }
    Ok(())
}

/// Every command that a help lists, and those below it, each with its own help.
fn helps(lab: &Lab) -> Result<Vec<(String, String)>> {
    let mut commands = vec![String::new()];
    let mut helps = Vec::new();
    while let Some(command) = commands.pop() {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = lab.transcript(&words, &[])?;
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let names = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        commands.extend(names.map(|name| format!("{command} {name}").trim_start().to_owned()));
        helps.push((command, help));
    }
    Ok(helps)
}

#[test]
fn a_bad_command_line() -> Result<()> {
    let lab = Lab::new()?;
    let bad: [&[&str]; 10] = [
        &["frobnicate"],
        &["--backend", "moon"],
        &["check", "--format", "yaml"],
        &["check", "--without", "prometheus"],
        &["check", "--only", "no-such-check"],
        &["check", "--airgap"],
        &["check", "--grafana", "/g", "--without", "grafana"],
        &["up", "--for", "soon"],
        &["--without", "grafana", "check"],
        &["status", "1-1", "2-2"],
    ];
    let mut shown: Vec<String> = bad.iter().map(|words| lab.transcript(words, &[])).collect::<Result<_>>()?;
    let impatient = ended(lab.command(["check"]).env("LAB_PATIENCE", "much"))?.expect_code(2)?;
    shown.push(format!("$ LAB_PATIENCE=much lab check\n{}", impatient.stderr));
    lab.assert_snapshot("a_bad_command_line", &shown.join("\n"));
    ensure!(!lab.dir().join("mini-node-exporter").exists(), "something was started");
    Ok(())
}

/// What most people see, most of the time.
#[test]
fn every_check_passes() -> Result<()> {
    let lab = Lab::bare()?.with_promtool()?;
    lab.assert_snapshot("check", &lab.transcript(&["check", &ordinary_node()], &lab.parts())?);
    lab.expect_nothing_left()
}

/// Everything else is checked, and the exit code says that something was not.
#[test]
fn a_missing_grafana_is_skipped() -> Result<()> {
    let lab = Lab::bare()?.with_promtool()?;
    let shown = lab.transcript(&["check", &ordinary_node()], &lab.programs())?;
    lab.assert_snapshot("check_without_a_grafana", &shown);
    lab.expect_nothing_left()
}

#[test]
fn a_missing_prometheus_is_an_error() -> Result<()> {
    let lab = Lab::bare()?;
    lab.assert_snapshot("check_without_a_prometheus", &lab.transcript(&["check"], &lab.programs()[..2])?);
    lab.expect_nothing_left()
}

#[test]
fn doctor_lists_every_need() -> Result<()> {
    let lab = Lab::bare()?;
    lab.assert_snapshot("doctor_where_nothing_is", &lab.transcript(&["doctor"], &[])?);
    // Whatever is here or missing, it only reports.
    Lab::new()?.run(&["doctor"], &[])?.expect_code(0)?;
    Ok(())
}

/// The same rows, for programs. A `PATH` without any program has none of them.
#[test]
pub fn doctor_in_json() -> Result<()> {
    let lab = Lab::bare()?;
    let text = lab.run(&["doctor"], &[])?.expect_code(0)?.stdout;
    let json: Vec<BTreeMap<String, String>> =
        serde_json::from_str(&lab.run(&["doctor", "--format", "json"], &[])?.expect_code(0)?.stdout)?;
    ensure!(json.len() == text.lines().count() - 1, "{json:?}\n{text}");
    let wrong: Vec<_> = json.iter().filter(|need| need["state"] != "missing").collect();
    ensure!(wrong.is_empty(), "nothing is installed here: {wrong:?}");
    for (need, line) in json.iter().zip(text.lines().skip(1)) {
        for key in ["for", "needs", "state", "about"] {
            let value = need.get(key).with_context(|| format!("no `{key}` in {need:?}"))?;
            ensure!(line.contains(value.as_str()), "`{value}` is not in: {line}");
        }
    }
    Ok(())
}

/// What goes right is not told, and what goes wrong is.
#[test]
pub fn quiet() -> Result<()> {
    let lab = Lab::bare()?;
    let ended = lab.run(&["check", "--quiet", "--only", "exporter-ready", &ordinary_node()], &lab.parts())?;
    let ended = ended.expect_code(0)?;
    ensure!(ended.stderr.is_empty() && ended.stdout.contains("pass exporter-ready"), "{ended:?}");
    let stand_in = lab.prometheus_that("echo 'no space left for samples' >&2; exit 3")?;
    let ended = lab.run(&["-q", "--for", "1s"], &lab.parts_with_prometheus(&stand_in))?.expect_code(1)?;
    let ended = ended.expect_stderr("FAIL start Prometheus")?.expect_stderr("no space left for samples")?;
    ensure!(!ended.stderr.contains("ok   "), "{}", ended.stderr);
    let running = lab.start(&["up", &ordinary_node()], &lab.parts())?;
    running.id()?;
    let ended = lab.run(&["down", "-q"], &[])?.expect_code(0)?;
    ensure!(ended.stderr.is_empty(), "{}", ended.stderr);
    running.expect_code(0)?;
    lab.expect_nothing_left()
}

/// Each shell gets a script; that of bash is tried.
#[test]
pub fn completions() -> Result<()> {
    let lab = Lab::new()?;
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = lab.run(&["completions", shell], &[])?.expect_code(0)?.stdout;
        ensure!(script.contains("clusters"), "{shell}:\n{script}");
    }
    let script = r#"source <("$0" completions bash); COMP_WORDS=(lab scen) COMP_CWORD=1; _lab lab scen lab; echo "${COMPREPLY[@]}""#;
    let completed = Cmd::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_lab")]).read()?;
    ensure!(completed == "scenario", "{completed}");
    Ok(())
}

/// `lab … | head` is no reason to panic; a full disk is one to fail.
#[test]
fn a_closed_pipe_is_no_failure_and_a_full_disk_is() -> Result<()> {
    let lab = Lab::new()?;
    let shell = |script: &str| {
        let command = Cmd::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_lab")]);
        ended(command.env("XDG_STATE_HOME", lab.dir()).limit(Duration::from_secs(30)))
    };
    let gone = shell(r#"{ "$0" doctor; echo "code $?" >&2; } | :"#)?;
    ensure!(gone.stderr.contains("code 0") && !gone.stderr.contains("panicked"), "{}", gone.stderr);
    let full = shell(r#""$0" doctor > /dev/full"#)?.expect_code(1)?;
    ensure!(full.stderr.starts_with("error: cannot write to standard output: "), "{}", full.stderr);
    Ok(())
}

/// It writes nothing more, so that no write fails.
#[test]
fn a_lab_ends_when_the_reader_of_its_output_exits() -> Result<()> {
    let lab = Lab::new()?;
    let script = r#"{ "$0" up "$@"; echo "code $?" >&2; } | grep -m 1 node_uptime"#;
    let command = Cmd::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_lab")]).args(lab.parts());
    let command = command.env("XDG_STATE_HOME", lab.dir()).limit(Duration::from_secs(60));
    ended(command)?.expect_code(0)?.expect_stderr("ok   stop the lab")?.expect_stderr("code 0")?;
    lab.expect_nothing_left()
}
