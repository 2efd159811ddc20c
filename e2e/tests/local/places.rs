//! What other people's machines do to a tool like this: file systems without locks, odd paths, no checkout, builds without
//! a version. Each was a public bug report of another project.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use e2e::process::child::Process;
use e2e::process::command::Cmd;
use fs_err as fs;
use rustix::process::Signal;

use crate::lab::{Lab, prometheus};
use crate::running::ended;

/// As on NFS, where a lock on a file that is open for reading is refused: what cannot be told is alive.
#[test]
fn a_lock_of_unknown_state_counts_as_held() -> Result<()> {
    let lab = Lab::new()?;
    let source = lab.dir().join("flock.c");
    fs::write(&source, "#include <errno.h>\nint flock(int fd, int how) { errno = EBADF; return -1; }\n")?;
    let library = lab.dir().join("flock.so");
    Cmd::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).run()?;

    let living = lab.start(&["up"], &lab.parts_with_prometheus(&lab.prometheus_that("exec sleep 300")?))?;
    living.wait_for("start the exporter")?;
    let runs = lab.runs();
    let without_locks = |words: &[&str]| ended(lab.command(words).env("LD_PRELOAD", &library));
    let status = without_locks(&["status"])?.expect_code(0)?.stdout;
    ensure!(status.contains("running"), "{status}");
    let other = without_locks(&[
        "check",
        "--without",
        "grafana",
        "--without",
        "alertmanager",
        "--prometheus",
        "/bin/false",
        "--exporter",
        "/bin/false",
    ])?;
    ensure!(!other.stderr.contains("removed what run"), "{}", other.stderr);
    ensure!(lab.runs() == runs, "{:?}, and {runs:?} is alive", lab.runs());
    living.signal(Signal::INT)?;
    living.expect_code(0)?;
    lab.expect_nothing_left()
}

/// Process ids are other processes' in another PID namespace, or on another host over the same directory.
#[test]
fn down_ends_no_other_process() -> Result<()> {
    let lab = Lab::new()?;
    let running = lab.start(&["up"], &lab.parts())?;
    let id = running.id()?;
    let innocent =
        Process::start("innocent", "/bin/sleep".as_ref(), &["300".into()], &[], lab.dir().join("innocent.log"))?;
    let record = lab.dir().join("mini-node-exporter/runs").join(&id).join("run.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&record)?)?;
    json["pid"] = innocent.pid().context("no process id")?.into();
    fs::write(&record, json.to_string())?;

    lab.run(&["down"], &[])?.expect_code(0)?;
    running.expect_code(0)?;
    innocent.alive()?;
    innocent.signal(Signal::KILL);
    ensure!(lab.runs().is_empty(), "{:?}", lab.runs());
    Ok(())
}

#[test]
fn a_bare_name_is_the_file_here_and_not_one_on_path() -> Result<()> {
    let lab = Lab::new()?;
    let other = lab.prometheus_that("exit 7")?;
    let here = other.with_file_name("prometheus");
    fs::rename(&other, &here)?;
    let real = prometheus()?;
    let path = std::env::join_paths([
        real.parent().context("no folder")?.to_owned(),
        PathBuf::from("/usr/bin"),
        PathBuf::from("/bin"),
    ])?;
    let mut words = lab.parts();
    words[3] = "prometheus".into();
    let command = lab.command(["check".into()].into_iter().chain(words)).env("PATH", path).dir(lab.dir());
    ended(command)?.expect_code(1)?.expect_stderr("prometheus ended with exit status: 7")?;
    lab.expect_nothing_left()
}

/// Prometheus reads the paths in its configuration as patterns: no path of ours may stand in it.
#[test]
fn glob_letters_in_the_state_directory() -> Result<()> {
    let lab = Lab::new()?;
    let state = lab.dir().join("[ab]*?{c}");
    fs::create_dir(&state)?;
    let only = ["check", "--only", "rules-healthy", "--only", "targets-up"].map(Into::into);
    let words = only.into_iter().chain(lab.parts());
    let said = ended(lab.command(words).env("XDG_STATE_HOME", &state))?.expect_code(0)?.stdout;
    ensure!(said.contains("pass rules-healthy") && said.contains("pass targets-up"), "{said}");
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_fails_before_anything_is_started() -> Result<()> {
    let lab = Lab::new()?;
    let dashboards = lab.dir().join("dashboards");
    fs::create_dir(&dashboards)?;
    fs::write(dashboards.join("mine.json"), "{")?;
    let mut words = lab.parts();
    words.extend(["--dashboards".into(), dashboards.into()]);
    let failed = lab.run(&["check"], &words)?.expect_code(1)?.expect_stderr("mine.json: not a classic dashboard")?;
    ensure!(!failed.stderr.contains("start the exporter"), "{}", failed.stderr);
    lab.expect_nothing_left()
}

/// An installed `lab`: in an empty folder, and without what cargo says of the checkout to the programs that it runs.
#[test]
fn without_a_checkout() -> Result<()> {
    let lab = Lab::new()?;
    let folder = lab.dir().join("installed");
    fs::create_dir(&folder)?;
    let program = folder.join("lab");
    fs::copy(env!("CARGO_BIN_EXE_lab"), &program)?;
    let run = |words: &[OsString]| {
        let command = lab.command_of(&program, words).without_env("CARGO").dir(&folder);
        ended(command.env("XDG_CACHE_HOME", lab.dir().join("cache")))
    };
    let words =
        |words: &[&str], parts: &[OsString]| [&words.iter().map(OsString::from).collect::<Vec<_>>(), parts].concat();
    let parts = lab.parts();
    // What is scraped is a Prometheus, which every machine with a lab has; the newest breaks rules of its own linter.
    let other = lab.start(&["up"], &parts)?;
    other.id()?;
    let address = ended(lab.command(["status"]))?.stdout;
    let address = address.lines().find_map(|line| line.strip_prefix("prometheus  http://")).context("no address")?;
    for up in [&["up", "--for", "1s"][..], &["check", "--skip", "exposition-lints"]] {
        run(&words(&[up, &["--target", address]].concat(), &parts[2..]))?.expect_code(0)?;
    }
    let doctor = run(&words(&["doctor"], &[]))?.expect_code(0)?.stdout;
    ensure!(!doctor.contains("cargo") && doctor.contains("prometheus"), "{doctor}");

    // Our exporter's rules, dashboard and scenarios have come along, and its binary has not.
    let ours = run(&words(&["check", "--skip", "exposition-lints"], &parts))?.expect_code(0)?.stdout;
    ensure!(ours.contains("pass rules-healthy") && ours.contains("pass panels-have-data"), "{ours}");
    let scenarios = run(&words(&["scenario", "list"], &[]))?.expect_code(0)?.stdout;
    ensure!(scenarios.contains("quiet-day"), "{scenarios}");
    // The samples of a unit test need no exporter.
    let rules = "groups: [{ name: g, rules: [{ alert: Full, expr: queue > 5 }] }]";
    let tests = "rule_files: [rules.yml]\ntests: [{ input_series: [{ series: queue, values: 9x2 }] }]";
    fs::write(folder.join("rules.yml"), rules)?;
    fs::write(folder.join("tests.yml"), tests)?;
    run(&words(&["up", "--scenario", "tests.yml", "--for", "1s"], &parts[2..]))?.expect_code(0)?;
    for up in [&["up"][..], &["check"]] {
        let refused = run(&words(up, &parts[2..]))?.expect_code(2)?;
        for way in ["`--target HOST:PORT`", "`--command`", "`lab.toml`", "`--exporter FILE`"] {
            ensure!(refused.stderr.contains(way), "no {way} in {}", refused.stderr);
        }
    }
    let kind = run(&words(&["check", "--backend", "kind"], &[]))?.expect_code(2)?;
    kind.expect_stderr("`--backend kind` needs a checkout of mini-node-exporter")?;
    other.signal(Signal::INT)?;
    other.expect_code(0)?;
    lab.expect_nothing_left()
}

#[test]
fn a_build_without_a_version_will_do() -> Result<()> {
    let lab = Lab::new()?;
    let says = "prometheus, version  (branch: , revision: unknown)\\n  go version:       go1.26.8\\n";
    let real = prometheus()?;
    let body = format!("[ \"$1\" != --version ] || {{ printf '{says}'; exit; }}\nexec '{}' \"$@\"", real.display());
    let built_by_hand = lab.script("built-by-hand", &body)?;
    let ended =
        lab.run(&["check", "--only", "exporter-ready"], &lab.parts_with_prometheus(&built_by_hand))?.expect_code(0)?;
    ended.expect_stderr("a build without a version, flag")?;
    lab.expect_nothing_left()
}
