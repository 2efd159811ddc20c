//! One exporter as a process on one core, and what it takes.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::client::{self, Encoding};

const START: Duration = Duration::from_secs(20);

/// A command with `{address}` in it, and the words that follow the program.
#[derive(Clone)]
pub struct Target {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Target {
    pub fn parse(command: &str) -> Result<Self> {
        if !command.contains("{address}") {
            bail!("no {{address}} in {command:?}: it must listen where it is told to");
        }
        let mut words = command.split_whitespace().map(String::from);
        let program = words.next().context("an empty command")?.into();
        Ok(Self { program, arguments: words.collect() })
    }

    /// The program's bytes on disk.
    pub fn bytes(&self) -> Result<u64> {
        Ok(fs::metadata(&self.program).with_context(|| self.program.display().to_string())?.len())
    }
}

/// Ends when it is dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it, and says how long it took from its start to its first good answer.
    pub fn start(target: &Target) -> Result<(Self, Duration)> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let arguments = target.arguments.iter().map(|word| word.replace("{address}", &address.to_string()));
        let mut command = Command::new(&target.program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let child = pinned(|| command.spawn()).with_context(|| target.program.display().to_string())?;
        let mut server = Self { child, address };
        while client::scrape(address, Encoding::Plain).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended: {status}", target.program.display());
            }
            if began.elapsed() > START {
                bail!("{} gives no answer", target.program.display());
            }
            std::thread::yield_now();
        }
        Ok((server, began.elapsed()))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time that all its threads have been on a core.
    pub fn cpu(&self) -> Result<Duration> {
        let mut sum = 0;
        for task in fs::read_dir(self.proc("task"))? {
            let spent = fs::read_to_string(task?.path().join("schedstat"))?;
            sum += spent.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.child.id()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child has the cores of the thread that starts it: the last of those that there are.
fn pinned<T>(start: impl FnOnce() -> std::io::Result<T>) -> Result<T> {
    let all = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|&core| all.is_set(core)).context("no core")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one)?;
    let started = start();
    sched_setaffinity(None, &all)?;
    Ok(started?)
}
