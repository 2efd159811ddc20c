//! The command line of `lab`: what it refuses, what it tells, and its exit codes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::process::command::Cmd;
use serde_json::Value;

use crate::lab::{Ended, Lab, ended};

#[test]
fn a_bad_command_line() -> Result<()> {
    let lab = Lab::new()?;
    let bad: [(&[&str], &str); 8] = [
        (&["frobnicate"], "frobnicate"),
        (&["--backend", "moon"], "moon"),
        (&["check", "--format", "yaml"], "yaml"),
        (&["check", "--without", "prometheus"], "prometheus"),
        (&["up", "--for", "soon"], "soon"),
        (&["status", "1-1", "2-2"], "2-2"),
        (&["--without", "grafana", "check"], "check"),
        (&["check", "--grafana", "/g", "--without", "grafana"], "--grafana"),
    ];
    for (words, named) in bad {
        let ended = lab.run(words, &[])?.expect_code(2)?;
        let first = ended.stderr.lines().next().unwrap_or_default();
        ensure!(first.contains(named), "`lab {}` is refused without naming `{named}`: {first}", words.join(" "));
    }
    let impatient = ended(lab.command(["check"]).env("LAB_PATIENCE", "much"))?.expect_code(2)?;
    impatient.expect_stderr("LAB_PATIENCE is `much`")?;
    ensure!(!lab.dir().join("mini-node-exporter").exists(), "something was started");
    Ok(())
}

/// No network, no `PATH`, an empty cache: everything else is checked, and the exit code tells.
#[test]
fn grafana_that_cannot_be_had_is_skipped() -> Result<()> {
    let lab = Lab::new()?;
    let command = lab.command(["check", "--format", "json"]).args(lab.programs()).env("PATH", lab.dir());
    let ended = ended(command.env("XDG_CACHE_HOME", lab.dir().join("cache")))?.expect_code(3)?;
    let report: Value = serde_json::from_str(&ended.stdout).with_context(|| ended.stdout.clone())?;
    let checks = report["checks"].as_array().context("no checks")?;
    let of = |outcome: &str| checks.iter().filter(|check| check["outcome"] == outcome).collect::<Vec<_>>();
    let skipped = of("skipped");
    let names: Vec<_> = skipped.iter().filter_map(|check| check["name"].as_str()).collect();
    ensure!(names == ["grafana-healthy", "datasource-healthy", "dashboard-loaded"], "{names:?}");
    for check in &skipped {
        let reason = check["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("grafana cannot be had") && reason.contains("--without grafana"), "{check}");
    }
    ensure!(of("passed").len() + skipped.len() == checks.len(), "{report}");
    ended.expect_stderr("skip start Grafana: ")?;
    lab.expect_nothing_left()
}

/// The same for `lab screenshot`: all that is missing in one line, and nothing is started for it.
#[test]
fn a_picture_needs_grafana_and_chromium() -> Result<()> {
    let lab = Lab::new()?;
    let look = || {
        let command = lab.command(["screenshot", "--out"]).arg(lab.dir().join("pictures")).args(lab.programs());
        ended(command.env("PATH", lab.dir()).env("XDG_CACHE_HOME", lab.dir().join("cache")))?.expect_code(3)
    };
    let line = |ended: Ended| ended.stderr.lines().last().unwrap_or_default().to_owned();
    let both = line(look()?);
    for text in
        ["no picture: ", "grafana cannot be had", "--grafana-home DIR", "chromium cannot be had", "package `chromium`"]
    {
        ensure!(both.contains(text), "no `{text}` in: {both}");
    }
    lab.script("chromium", "echo Chromium 130.0.6723.58")?;
    let one = line(look()?);
    ensure!(one.contains("grafana cannot be had") && !one.contains("chromium"), "{one}");
    ensure!(!lab.dir().join("pictures").exists(), "a folder was made for no picture");
    let bad: [(&[&str], &str); 2] =
        [(&["--without", "grafana"], "--without"), (&["--backend", "kind"], "--backend kind")];
    for (words, named) in bad {
        let refused = ended(lab.command(["screenshot"]).args(words))?.expect_code(2)?;
        refused.expect_stderr(named)?;
    }
    lab.expect_nothing_left()
}

#[test]
fn prometheus_that_cannot_be_had_is_said() -> Result<()> {
    let lab = Lab::new()?;
    let command = lab.command(["check", "--without", "grafana"]).args(&lab.programs()[..2]).env("PATH", lab.dir());
    let ended = ended(command.env("XDG_CACHE_HOME", lab.dir().join("cache")))?.expect_code(1)?;
    let mut said = ended;
    for text in ["prometheus cannot be had", "PATH: not found", "tarball: ", "Debian package: ", "--prometheus FILE"] {
        said = said.expect_stderr(text)?;
    }
    lab.expect_nothing_left()
}

#[test]
fn doctor_lists_every_need() -> Result<()> {
    let lab = Lab::new()?;
    // Whatever is here or missing, it only tells.
    for path in [lab.dir().into(), std::env::var_os("PATH").unwrap_or_default()] {
        let said = ended(lab.command(["doctor"]).env("PATH", path))?.expect_code(0)?.stdout;
        for need in ["cargo", "prometheus", "grafana", "curl", "apt-get", "docker", "kind", "kubectl", "promtool"] {
            let row = said.lines().find(|line| line.split_whitespace().any(|word| word == need));
            let row = row.with_context(|| format!("no row for {need}:\n{said}"))?;
            ensure!(row.contains(" ok ") || row.contains(" missing "), "{row}");
        }
    }
    Ok(())
}

/// `lab … | head` is no reason to panic; a full disk is one to fail.
#[test]
fn a_reader_that_goes() -> Result<()> {
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
