//! The lab around a program of somebody else: the small exporter in `fixtures/exporter`, which is built here as its first
//! line says.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::client::prometheus::Prometheus;
use e2e::process::child::Process;
use e2e::process::command::Cmd;
use e2e::workspace;
use fs_err as fs;
use serde_json::Value;

use crate::lab::Lab;
use crate::running::{Ended, ended};

/// `lab.toml` describes all of it: the program is started, scraped, checked and stopped.
#[test]
fn a_program_that_a_file_describes() -> Result<()> {
    let shop = Shop::new()?;
    let report = shop.check(&["--format", "json"])?.expect_code(0)?.stdout;
    let report: Value = serde_json::from_str(&report).context(report)?;
    let checks = report["checks"].as_array().context("no checks")?;
    let outcomes: Vec<String> = checks.iter().map(|check| format!("{} {}", check["name"], check["outcome"])).collect();
    for passed in ["targets-up", "rules-healthy", "panels-have-data"] {
        ensure!(outcomes.contains(&format!("\"{passed}\" \"passed\"")), "{outcomes:?}");
    }
    ensure!(outcomes.iter().all(|outcome| !outcome.contains("failed") && !outcome.contains("uptime")), "{outcomes:?}");
    shop.lab.expect_nothing_left()
}

/// Flags override the file, whose command is then for another target.
#[test]
fn programs_that_run_already() -> Result<()> {
    let shop = Shop::new()?;
    let _running = shop.start()?;
    let (address, other) = (shop.address.as_str(), free_address()?);
    let words =
        ["up", "--target", address, "--target", &format!("{other}/m"), "--job", "mine", "--scrape-interval", "2s"];
    let mut parts = shop.prometheus();
    parts.extend(["--file".into(), shop.file().into()]);
    let lab = shop.lab.start(&words, &parts)?;
    let shown = lab.id().map(|_| lab.written())?;
    for line in [
        &format!("target      http://{address}/metrics"),
        &format!("target      http://{other}/m"),
        "instance",
        "up until",
    ] {
        ensure!(shown.contains(line), "no `{line}` in {shown}");
    }
    ensure!(!shown.contains("start the command") && !shown.contains("node_uptime"), "{shown}");
    let status = shop.lab.run(&["status"], &[])?.expect_code(0)?.stdout;
    for line in [&format!("{address}  1"), &format!("{other}  0"), &format!("1 of 2 targets up; down: {other}")] {
        ensure!(status.contains(line), "no `{line}` in {status}");
    }
    let base = status.lines().find_map(|line| line.strip_prefix("prometheus")).context("no Prometheus")?.trim();
    let targets = Prometheus::new(base).targets("mine")?;
    ensure!(targets.len() == 2 && targets.iter().all(|target| target.scrape_interval == "2s"), "{targets:?}");
    shop.lab.run(&["down"], &[])?.expect_code(0)?;
    lab.expect_code(0)?;
    shop.lab.expect_nothing_left()
}

/// Its last lines say why, and its log is kept.
#[test]
fn a_program_that_ends() -> Result<()> {
    let shop = Shop::new()?;
    let failed = shop.check(&["--command", "sh -c 'echo no licence; exit 3'"])?.expect_code(1)?;
    let failed = failed.expect_stderr("command ended with exit status: 3; its last log lines:\n  | no licence")?;
    ensure!(!failed.stderr.contains("start Prometheus"), "{}", failed.stderr);
    let evidence = shop.lab.evidence().pop().context("no evidence")?;
    ensure!(fs::read_to_string(evidence.join("command.log"))? == "no licence\n", "another log");
    shop.check(&["--command", "./nowhere"])?.expect_code(1)?.expect_stderr("./nowhere: No such file or directory")?;
    shop.lab.expect_nothing_left()
}

#[test]
fn an_address_that_another_program_has() -> Result<()> {
    let shop = Shop::new()?;
    let _running = shop.start()?;
    let said =
        format!("another program answers at {} already: stop it, or scrape it without `--command`", shop.address);
    shop.check(&[])?.expect_code(1)?.expect_stderr(&said)?;
    shop.lab.expect_nothing_left()
}

/// What is wrong with the file is a wrong command line, and nothing is started.
#[test]
fn a_file_with_an_unknown_key() -> Result<()> {
    let shop = Shop::new()?;
    fs::write(shop.file(), "tarket = ':1'")?;
    shop.check(&[])?.expect_code(2)?.expect_stderr("lab.toml: unknown key `tarket`; the nearest one is `target`")?;
    let nowhere = shop.check(&["--file", "nowhere.toml"])?.expect_code(2)?;
    nowhere.expect_stderr("nowhere.toml")?;
    shop.lab.expect_nothing_left()
}

/// The exporter and its files in a folder of their own, with an address that is free.
pub struct Shop {
    pub lab: Lab,
    pub address: String,
}

impl Shop {
    pub fn new() -> Result<Self> {
        let shop = Self { lab: Lab::new()?, address: free_address()? };
        let (from, to) = (workspace::root().join("fixtures/exporter"), shop.folder());
        fs::create_dir(&to)?;
        for file in ["rules.yml", "dashboard.json"] {
            fs::copy(from.join(file), to.join(file))?;
        }
        let described = fs::read_to_string(from.join("lab.toml"))?.replace("127.0.0.1:8080", &shop.address);
        fs::write(shop.file(), described)?;
        fs::copy(program()?, to.join("shop"))?;
        Ok(shop)
    }

    pub fn folder(&self) -> PathBuf {
        self.lab.dir().join("shop")
    }

    pub fn file(&self) -> PathBuf {
        self.folder().join("lab.toml")
    }

    /// The flags that name Prometheus and leave Grafana out.
    fn prometheus(&self) -> Vec<std::ffi::OsString> {
        self.lab.parts().split_off(2)
    }

    /// `lab check` in its folder, with these flags.
    fn check(&self, flags: &[&str]) -> Result<Ended> {
        let words = ["check"].iter().chain(flags).map(Into::into).chain(self.prometheus());
        ended(self.lab.command(words).dir(self.folder()))
    }

    pub fn start(&self) -> Result<Process> {
        let log = self.lab.dir().join("shop.log");
        let process = Process::start("shop", &self.folder().join("shop"), &[(&self.address).into()], &[], log)?;
        process.wait_for_line("its address", Duration::from_secs(30), |line| {
            line.starts_with("listening").then_some(())
        })?;
        Ok(process)
    }
}

/// An address of loopback at which nothing listens.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The exporter, compiled once a test process.
fn program() -> Result<PathBuf> {
    static COMPILED: Mutex<bool> = Mutex::new(false);
    let mut compiled = COMPILED.lock().ok().context("it did not compile")?;
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shop");
    if !*compiled {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let source = workspace::root().join("fixtures/exporter/shop.rs");
        Cmd::new(rustc).arg(source).arg("-o").arg(&program).limit(Duration::from_secs(120)).run()?;
        *compiled = true;
    }
    Ok(program)
}
