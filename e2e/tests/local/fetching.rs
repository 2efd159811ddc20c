//! Fetching Prometheus into an empty cache. Stand-ins for `curl` and `apt-get` are the network: what is under test is
//! the order, the hash, the lock and what lies in the cache afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::process::command::Cmd;
use e2e::tools::digest::sha256;
use e2e::tools::pins;

use crate::lab::Lab;
use crate::running::{Ended, ended};

/// A fetched Prometheus: found, asked for its version, and then of no use. The stack's start is no part of this.
const FETCHED: &str = "if [ \"$1\" = --version ]; then echo 'prometheus, version 9.9.9'; exit; fi\nexit 3";

#[test]
fn a_tarball_checked_against_its_release() -> Result<()> {
    let lab = Lab::new()?;
    let archive = archive(&lab)?;
    let bin = curl(&lab, &archive, &sha256(&fs::read(&archive)?))?;
    check(&lab, &bin)?.expect_stderr("9.9.9, tarball")?;
    // The next run finds it there, without a network.
    check(&lab, &lab.dir().join("nothing"))?.expect_stderr("9.9.9, cache")?;
    Ok(())
}

#[test]
fn a_tarball_with_another_hash() -> Result<()> {
    let lab = Lab::new()?;
    let bin = curl(&lab, &archive(&lab)?, &"0".repeat(64))?;
    check(&lab, &bin)?.expect_stderr("prometheus cannot be had")?.expect_stderr("it was not unpacked")?;
    let tools = lab.dir().join("cache/mini-node-exporter/tools");
    let left: Vec<_> = fs::read_dir(tools)?.flatten().map(|entry| entry.file_name()).collect();
    ensure!(left == [".lock-prometheus"], "{left:?}");
    Ok(())
}

/// The second run waits for the first one's lock, and then uses what that one fetched.
#[test]
fn two_runs_at_once_fetch_one_package() -> Result<()> {
    let lab = Lab::new()?;
    let count = lab.dir().join("fetches");
    let bin = lab.dir().join("apt-bin");
    let download = format!("sleep 1; echo one >> '{}'; : > prometheus_9.9.9-1_amd64.deb", count.display());
    let system = "PATH=/usr/bin:/bin";
    lab.script("apt-bin/apt-get", &format!("{system}\ncase \"$*\" in *download*) {download} ;; esac"))?;
    let package = lab.script("package", FETCHED)?;
    let unpack = format!("mkdir -p \"$3/usr/bin\"; cp '{}' \"$3/usr/bin/prometheus\"", package.display());
    lab.script("apt-bin/dpkg-deb", &format!("{system}\n{unpack}"))?;

    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| check(&lab, &bin));
        (check(&lab, &bin), other.join())
    });
    let two = two.map_err(|_| anyhow::anyhow!("the second run's thread panicked"))??;
    let said = format!("{}{}", one?.stderr, two.stderr);
    ensure!(said.contains("9.9.9, Debian package") && said.contains("9.9.9, cache"), "{said}");
    let fetched = fs::read_to_string(&count).context("nothing was fetched")?;
    ensure!(fetched == "one\n", "fetched more than once: {fetched:?}");
    Ok(())
}

/// A check in a world whose cache is empty at first, and whose `PATH` is this folder. It ends at Prometheus' start.
fn check(lab: &Lab, path: &Path) -> Result<Ended> {
    let command = lab.command(["check", "--without", "grafana"]).args(&lab.programs()[..2]).env("PATH", path);
    ended(command.env("XDG_CACHE_HOME", lab.dir().join("cache")).env("DEBIAN_MIRROR", "http://127.0.0.1:9/debian"))?
        .expect_code(1)
}

fn archive(lab: &Lab) -> Result<PathBuf> {
    let top = "prometheus-release";
    lab.script(&format!("{top}/prometheus"), FETCHED)?;
    let archive = lab.dir().join("release.tar.gz");
    Cmd::new("tar").args(["--create", "--gzip", "--file"]).arg(&archive).arg(top).dir(lab.dir()).run()?;
    Ok(archive)
}

/// A folder with a `curl` that knows the release: its archive, and this hash.
fn curl(lab: &Lab, archive: &Path, hash: &str) -> Result<PathBuf> {
    let release = format!("https://github.com/prometheus/prometheus/releases/download/v{}/", pins::PROMETHEUS);
    let body = format!(
        "while [ $# -gt 2 ]; do shift; done\ncase $2 in\n\
         {release}sha256sums.txt) echo {hash} > \"$1\" ;;\n\
         {release}*.tar.gz) cp '{}' \"$1\" ;;\n\
         *) echo \"curl: (6) no such host: $2\" >&2; exit 6 ;;\nesac",
        archive.display()
    );
    let curl = lab.script("curl-bin/curl", &format!("PATH=/usr/bin:/bin\n{body}"))?;
    // The harness unpacks with the system's own tar, which calls gzip.
    lab.script("curl-bin/tar", "PATH=/usr/bin:/bin\nexec tar \"$@\"")?;
    Ok(curl.parent().context("no folder")?.into())
}
