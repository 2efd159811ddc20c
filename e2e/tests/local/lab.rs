//! `lab` with a state directory of its own, and functions that find what it left.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::process::child::Process;
use e2e::process::command::Cmd;
use e2e::process::guard;
use e2e::terminal::progress::{Progress, Step};
use e2e::tools::{self, Tool};
use e2e::wait::interrupt;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace::exporter;
use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use tempfile::TempDir;

use crate::running::{Ended, Running, ended};

/// The world. What runs in it is ended before its directory goes.
pub struct Lab {
    dir: TempDir,
    exporter: PathBuf,
    prometheus: PathBuf,
    /// Its environment, beside what it has from the test's own.
    env: Vec<(&'static str, OsString)>,
}

impl Lab {
    /// With this workspace's exporter and a real Prometheus.
    pub fn new() -> Result<Self> {
        begin()?;
        promtool()?;
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("tmp"))?;
        let env = [
            ("XDG_STATE_HOME", dir.path().into()),
            ("TMPDIR", dir.path().join("tmp").into()),
            ("NO_COLOR", "1".into()),
            ("CLICOLOR_FORCE", "0".into()),
            // Nothing is downloaded by a program under test.
            ("LAB_MIRROR", "http://127.0.0.1:9".into()),
        ];
        let env = env.into_iter().collect();
        Ok(Self { dir, exporter: exporter()?, prometheus: prometheus()?, env })
    }

    /// A world that is the same on every machine: nothing is on `PATH` but the scripts in its own `bin`, and the cache
    /// is empty.
    pub fn bare() -> Result<Self> {
        let mut lab = Self::new()?;
        lab.env.extend([("PATH", lab.dir().join("bin").into()), ("XDG_CACHE_HOME", lab.dir().join("cache").into())]);
        Ok(lab)
    }

    /// With promtool on its `PATH`, too.
    pub fn with_promtool(self) -> Result<Self> {
        self.script("bin/promtool", &format!("exec '{}' \"$@\"", promtool()?.display()))?;
        Ok(self)
    }

    /// Its places by the names that snapshots give them.
    pub fn places(&self) -> [(PathBuf, &'static str); 4] {
        [
            (self.dir().into(), "[LAB]"),
            (self.exporter.clone(), "[EXPORTER]"),
            (self.prometheus.clone(), "[PROMETHEUS]"),
            (e2e::workspace::root().into(), "[WORKSPACE]"),
        ]
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Flags that name the programs, so that no test looks for them, and leave the others out.
    pub fn parts(&self) -> Vec<OsString> {
        let mut parts = self.programs();
        parts.extend(["--without", "grafana", "--without", "alertmanager"].map(Into::into));
        parts
    }

    /// Flags that name the programs.
    pub fn programs(&self) -> Vec<OsString> {
        vec!["--exporter".into(), self.exporter.clone().into(), "--prometheus".into(), self.prometheus.clone().into()]
    }

    /// The flags of [`Lab::parts`] with another program as Prometheus.
    pub fn parts_with_prometheus(&self, prometheus: &Path) -> Vec<OsString> {
        let mut parts = self.parts();
        parts[3] = prometheus.into();
        parts
    }

    /// `lab` with these words, not yet run.
    pub fn command<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Cmd {
        self.command_of(env!("CARGO_BIN_EXE_lab").as_ref(), words)
    }

    /// As [`Lab::command`], with another copy of the program.
    pub fn command_of<A: AsRef<OsStr>>(&self, program: &Path, words: impl IntoIterator<Item = A>) -> Cmd {
        let command = Cmd::new(program).args(words).limit(Duration::from_secs(90));
        self.env.iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    /// Runs `lab` with these words, and then these parts, to its end.
    pub fn run(&self, words: &[&str], parts: &[OsString]) -> Result<Ended> {
        ended(self.command(words.iter().map(OsString::from).chain(parts.iter().cloned())))
    }

    /// Starts `lab` with these words, and then these parts, in the background.
    pub fn start(&self, words: &[&str], parts: &[OsString]) -> Result<Running> {
        let args: Vec<OsString> = words.iter().map(OsString::from).chain(parts.iter().cloned()).collect();
        self.start_program(Path::new(env!("CARGO_BIN_EXE_lab")), &args)
    }

    /// As [`Lab::start`], through `nohup`.
    pub fn start_nohup(&self, words: &[&str], parts: &[OsString]) -> Result<Running> {
        let words = [env!("CARGO_BIN_EXE_lab")].iter().chain(words).map(OsString::from);
        self.start_program(Path::new("nohup"), &words.chain(parts.iter().cloned()).collect::<Vec<_>>())
    }

    /// As [`Lab::start`], on a terminal with so many rows, which `script` makes.
    pub fn start_on_terminal(&self, rows: u16, words: &[&str], parts: &[OsString]) -> Result<Running> {
        let words = [env!("CARGO_BIN_EXE_lab")].iter().chain(words).map(OsString::from).chain(parts.iter().cloned());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let typed = format!("stty rows {rows} cols 100; TERM=xterm exec {}", words.join(" "));
        let args = ["--quiet", "--return", "--command", &typed, "/dev/null"];
        self.start_program(Path::new("script"), &args.map(OsString::from))
    }

    fn start_program(&self, program: &Path, args: &[OsString]) -> Result<Running> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let log = self.dir().join(format!("{}.out", COUNT.fetch_add(1, Ordering::Relaxed)));
        let process = Process::start("lab", program, args, &self.env, log.clone())?;
        Ok(Running { process, log })
    }

    /// Writes a shell script that can stand in for a program.
    pub fn script(&self, name: &str, body: &str) -> Result<PathBuf> {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().context("no parent")?)?;
        // By another process: what this one has open for writing, a child that another test starts right now has too,
        // and it cannot be executed for that moment.
        let text = self.dir().join(format!("{}.sh", name.replace('/', "-")));
        fs::write(&text, format!("#!/bin/sh\n{body}\n"))?;
        Cmd::new("install").args(["-m", "755"]).arg(text).arg(&path).run()?;
        Ok(path)
    }

    /// A program that says it is Prometheus, and then does this instead.
    pub fn prometheus_that(&self, does: &str) -> Result<PathBuf> {
        let body = format!("if [ \"$1\" = --version ]; then echo 'prometheus, version 3.0.0'; exit; fi\n{does}");
        self.script("prometheus-stand-in", &body)
    }

    /// A copy of a fixture tree, to be changed.
    pub fn tree(&self, case: &str) -> Result<PathBuf> {
        let (from, to) = (fixture(case), self.dir().join(case));
        fs::create_dir_all(to.join("sys/kernel"))?;
        for file in ["uptime", "loadavg", "sys/kernel/hostname"] {
            fs::copy(from.join(file), to.join(file)).with_context(|| format!("{case}: {file}"))?;
        }
        Ok(to)
    }

    /// A run whose cluster was kept, as far as files tell, with what its `lab` wrote in the background.
    pub fn keep_cluster(&self) -> Result<()> {
        let run = self.dir().join("mini-node-exporter/runs/1-1");
        fs::create_dir_all(&run)?;
        fs::write(run.join("kept"), "")?;
        fs::write(run.join("run.json"), r#"{ "pid": 1, "backend": "kind", "links": [] }"#)?;
        Ok(fs::write(run.join("lab.log"), "run 1-1 is up until `lab down`\n")?)
    }

    /// The ids of the runs that have a directory.
    pub fn runs(&self) -> Vec<String> {
        names(&self.dir().join("mini-node-exporter/runs")).into_iter().filter(|name| name != "gate").collect()
    }

    /// The runs whose evidence was saved.
    pub fn evidence(&self) -> Vec<PathBuf> {
        let all = self.dir().join("mini-node-exporter/evidence");
        names(&all).into_iter().map(|name| all.join(name)).collect()
    }

    /// Every living process that was started in this world, `lab` itself and all below it: its environment tells.
    pub fn processes(&self) -> Vec<(Pid, String)> {
        let mark = format!("XDG_STATE_HOME={}", self.dir().display());
        let is_ours = |entry: &Path| {
            let environment = fs::read(entry.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
        entries
            .filter_map(|entry| Some((Pid::from_raw(entry.file_name()?.to_str()?.parse().ok()?)?, entry)))
            .filter(|(_, entry)| is_ours(entry))
            .map(|(pid, entry)| (pid, fs::read_to_string(entry.join("comm")).unwrap_or_default().trim().to_owned()))
            .collect()
    }

    /// The process of that name; the kernel cuts names at 15 characters.
    pub fn process(&self, name: &str) -> Result<Pid> {
        let all = self.processes();
        let found = all.iter().find(|(_, seen)| name.starts_with(seen.as_str()));
        found.map(|(pid, _)| *pid).with_context(|| format!("no process `{name}` among {all:?}"))
    }

    /// Fails unless every process, every run directory and every temporary file of this world is gone.
    pub fn expect_nothing_left(&self) -> Result<()> {
        self.expect_no_process()?;
        ensure!(self.runs().is_empty(), "runs are left: {:?}", self.runs());
        let left: Vec<_> = fs::read_dir(self.dir().join("tmp"))?.flatten().map(|entry| entry.file_name()).collect();
        ensure!(left.is_empty(), "temporary files are left: {left:?}");
        Ok(())
    }

    /// Fails unless every process of this world ends; the kernel may take a moment to bury them.
    pub fn expect_no_process(&self) -> Result<()> {
        poll::until("every process gone", Duration::from_secs(5), Duration::from_millis(20), || {
            let left = self.processes();
            if left.is_empty() { Attempt::Ready(()) } else { Attempt::NotYet(format!("{left:?} run")) }
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Only a test that fails leaves any.
        for (pid, _) in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// What each test of this tier begins with. `lab` guards the children of this process, which cannot do it itself; and
/// after Ctrl-C the tests that have not begun fail, while the others clean up.
pub fn begin() -> Result<()> {
    static READY: LazyLock<std::io::Result<()>> = LazyLock::new(|| {
        // Cargo takes a checkout that was copied with its `target/` for fresh, and its tests would run the other's `lab`.
        if std::env::var("CARGO_MANIFEST_DIR").is_ok_and(|here| here != env!("CARGO_MANIFEST_DIR")) {
            return Err(std::io::Error::other("this checkout was moved: run `cargo clean -p e2e` first"));
        }
        guard::through(env!("CARGO_BIN_EXE_lab"));
        interrupt::listen()?;
        // Children go on ignoring what their parent ignores, as in `nohup cargo test`, but not what it has a handler
        // for: this one does nothing, and `lab` starts as from a terminal.
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            flag::register(signal, Arc::default())?;
        }
        Ok(())
    });
    READY.as_ref().map_err(|error| anyhow!("cannot begin: {error}"))?;
    Ok(interrupt::check()?)
}

/// A fixture's tree.
pub fn fixture(case: &str) -> PathBuf {
    e2e::workspace::root().join("fixtures").join(case).join("proc")
}

/// The flag of a fixture tree whose values the snapshots show.
pub fn ordinary_node() -> String {
    format!("--path.procfs={}", fixture("ordinary-node").display())
}

/// Sends SIGKILL.
pub fn kill(pid: Pid) -> Result<Instant> {
    kill_process(pid, Signal::KILL)?;
    Ok(Instant::now())
}

/// This workspace's exporter, built once a test process.
pub fn exporter() -> Result<PathBuf> {
    static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
    once(&FOUND, |step| exporter::binary(None, step))
}

/// A real Prometheus. Without one a test fails, and the error says how to get one.
pub fn prometheus() -> Result<PathBuf> {
    static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
    once(&FOUND, |step| Ok(tools::find(Tool::Prometheus, None, step)?.path))
}

/// promtool, as the harness finds it.
pub fn promtool() -> Result<PathBuf> {
    static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
    once(&FOUND, |step| Ok(tools::find(Tool::Promtool, None, step)?.path))
}

/// A real Alertmanager, as the harness finds it. Where there is none the lab does without it, and so do the tests, which say
/// why; `.ci/run` has a step that fails there.
pub fn alertmanager() -> Option<PathBuf> {
    static FOUND: Mutex<Option<PathBuf>> = Mutex::new(None);
    let found = once(&FOUND, |step| Ok(tools::find(Tool::Alertmanager, None, step)?.path));
    found.inspect_err(|error| eprintln!("skipped what needs an Alertmanager: {error:#}")).ok()
}

fn once(found: &Mutex<Option<PathBuf>>, find: impl FnOnce(&Step) -> Result<PathBuf>) -> Result<PathBuf> {
    let mut found = found.lock().map_err(|_| anyhow!("another test failed to find it"))?;
    match &*found {
        Some(path) => Ok(path.clone()),
        None => Ok(found.insert(Progress::quiet().step("find", find)?).clone()),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
