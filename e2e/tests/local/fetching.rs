//! Downloading tools into an empty cache. A server of the test's own stands in for the release hosts (`LAB_MIRROR`), and a
//! script for `apt-get`: what is under test is the order, the hash, the lock and what lies in the cache afterwards.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::http::{StatusCode, Uri};
use e2e::process::command::Cmd;
use e2e::tools::digest::sha256;
use e2e::tools::pins;
use fs_err as fs;

use crate::lab::Lab;
use crate::running::{Ended, ended};
use crate::serve::serve;

/// A fetched Prometheus: found, asked for its version, and then of no use. The stack's start is no part of this.
const FETCHED: &str = "if [ \"$1\" = --version ]; then echo 'prometheus, version 9.9.9'; exit; fi\nexit 3";

/// A `docker` that answers as an engine does and has no image.
const ENGINE: &str = "case $1 in version) echo 1.46 ;; info) echo 2 ;; *) exit 1 ;; esac";

#[test]
fn an_archive_checked_against_its_release() -> Result<()> {
    let lab = lab_with_tar()?;
    let archive = archive(&lab)?;
    let mirror = prometheus_releases(&archive, &sha256(&archive));
    check(&lab, &mirror)?.expect_stderr("9.9.9, release")?;
    // The next run finds it there, without a network.
    check(&lab, NOWHERE)?.expect_stderr("9.9.9, cache")?;
    Ok(())
}

#[test]
fn an_archive_with_another_hash() -> Result<()> {
    let lab = lab_with_tar()?;
    let mirror = prometheus_releases(&archive(&lab)?, &"0".repeat(64));
    let ended = check(&lab, &mirror)?.expect_stderr("prometheus could not be found or downloaded")?;
    ended.expect_stderr("it was not unpacked")?;
    let left: Vec<_> = fs::read_dir(tools(&lab))?.flatten().map(|entry| entry.file_name()).collect();
    ensure!(left == [".lock-prometheus"], "{left:?}");
    Ok(())
}

/// Programs that are too old are passed over, and their releases are single files that have to be made executable.
#[test]
fn a_kind_and_a_kubectl_in_the_place_of_ones_that_are_too_old() -> Result<()> {
    let lab = Lab::new()?;
    let kind = format!("#!/bin/sh\necho 'kind v{} go1.26 linux/amd64'\n", pins::KIND);
    let kubectl = format!("#!/bin/sh\necho 'Client Version: v{}'\n", pins::KUBECTL);
    let [kind_base, kubectl_base] = [
        format!("/github.com/kubernetes-sigs/kind/releases/download/v{}/kind-linux-", pins::KIND),
        format!("/dl.k8s.io/release/v{}/bin/linux/", pins::KUBECTL),
    ];
    let mirror = serve(Router::new().fallback(move |uri: Uri| async move {
        let (program, sums) = match uri.path() {
            path if path.starts_with(&kind_base) => (kind, "sha256sum"),
            path if path.starts_with(&kubectl_base) => (kubectl, "sha256"),
            path => return Err((StatusCode::NOT_FOUND, path.to_owned())),
        };
        let file = uri.path().rsplit('/').next().unwrap_or_default();
        match file.strip_suffix(sums) {
            Some(name) => Ok(format!("{}  {}", sha256(program.as_bytes()), name.trim_end_matches('.'))),
            None => Ok(program),
        }
    }));
    lab.script("bin/docker", ENGINE)?;
    lab.script("bin/kind", "echo 'kind v0.27.0 go1.24.4 linux/amd64'")?;
    lab.script("bin/kubectl", "echo 'Client Version: v1.20.2'")?;
    let command = lab.command(["check", "--backend", "kind", "--image", "exporter=mine:nope"]);
    let command = command.env("PATH", lab.dir().join("bin")).env("XDG_CACHE_HOME", lab.dir().join("cache"));
    let ended = ended(command.env("LAB_MIRROR", mirror))?.expect_code(1)?;
    let ended = ended.expect_stderr(&format!("{}, release", pins::KIND))?;
    ended.expect_stderr(&format!("{}, release", pins::KUBECTL))?.expect_stderr("cannot pull image mine:nope")?;
    Ok(())
}

/// Debian 12's promtool is built without Kubernetes discovery.
#[test]
fn a_promtool_that_cannot_do_what_is_needed_is_passed_over() -> Result<()> {
    let lab = Lab::bare()?;
    let version = "if [ \"$1\" = --version ]; then echo 'promtool, version 2.42.0'; exit; fi";
    lab.script("bin/promtool", &format!("{version}\nexit 1"))?;
    let doctor = || lab.run(&["doctor"], &[])?.expect_code(0);
    let shown = doctor()?.stdout;
    ensure!(shown.contains("bin/promtool is built without Kubernetes discovery"), "{shown}");
    lab.script("cache/mini-node-exporter/tools/prometheus-9.9.9/promtool", FETCHED.replace("exit 3", "").as_str())?;
    let shown = doctor()?.stdout;
    ensure!(shown.contains("9.9.9, cache: "), "{shown}");
    Ok(())
}

/// The second run waits for the first one's lock, and then uses what that one fetched.
#[test]
fn two_runs_at_once_fetch_one_package() -> Result<()> {
    let lab = lab_with_tar()?;
    let count = lab.dir().join("fetches");
    let download = format!("sleep 1; echo one >> '{}'; : > prometheus_9.9.9-1_amd64.deb", count.display());
    let system = "PATH=/usr/bin:/bin";
    lab.script("bin/apt-get", &format!("{system}\ncase \"$*\" in *download*) {download} ;; esac"))?;
    let package = lab.script("package", FETCHED)?;
    let unpack = format!("mkdir -p \"$3/usr/bin\"; cp '{}' \"$3/usr/bin/prometheus\"", package.display());
    lab.script("bin/dpkg-deb", &format!("{system}\n{unpack}"))?;

    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| check(&lab, NOWHERE));
        (check(&lab, NOWHERE), other.join())
    });
    let two = two.map_err(|_| anyhow::anyhow!("the second run's thread panicked"))??;
    let said = format!("{}{}", one?.stderr, two.stderr);
    ensure!(said.contains("9.9.9, Debian package") && said.contains("9.9.9, cache"), "{said}");
    let fetched = fs::read_to_string(&count).context("nothing was fetched")?;
    ensure!(fetched == "one\n", "fetched more than once: {fetched:?}");
    Ok(())
}

/// A mirror that refuses every connection.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A lab with a folder for `PATH` that holds nothing but what unpacks an archive.
fn lab_with_tar() -> Result<Lab> {
    let lab = Lab::new()?;
    lab.script("bin/tar", "PATH=/usr/bin:/bin\nexec tar \"$@\"")?;
    Ok(lab)
}

/// A check whose cache is empty at first, and whose `PATH` is that folder. It ends at Prometheus' start.
fn check(lab: &Lab, mirror: &str) -> Result<Ended> {
    let command = lab.command(["check", "--without", "grafana", "--without", "alertmanager"]);
    let command = command.args(&lab.programs()[..2]).env("LAB_MIRROR", mirror);
    let command = command.env("PATH", lab.dir().join("bin")).env("XDG_CACHE_HOME", lab.dir().join("cache"));
    ended(command.env("DEBIAN_MIRROR", "http://127.0.0.1:9/debian"))?.expect_code(1)
}

fn tools(lab: &Lab) -> PathBuf {
    lab.dir().join("cache/mini-node-exporter/tools")
}

/// A release's archive of Prometheus.
fn archive(lab: &Lab) -> Result<Vec<u8>> {
    lab.script("prometheus-release/prometheus", FETCHED)?;
    let archive = lab.dir().join("release.tar.gz");
    let tar = Cmd::new("tar").args(["--create", "--gzip", "--file"]).arg(&archive).arg("prometheus-release");
    tar.dir(lab.dir()).run()?;
    Ok(fs::read(archive)?)
}

/// A mirror of Prometheus' releases that lists this hash for each archive.
fn prometheus_releases(archive: &[u8], hash: &str) -> String {
    let base = format!("/github.com/prometheus/prometheus/releases/download/v{}/", pins::PROMETHEUS);
    let sums = ["amd64", "arm64"].map(|arch| format!("{hash}  prometheus-{}.linux-{arch}.tar.gz\n", pins::PROMETHEUS));
    let (archive, sums) = (archive.to_owned(), sums.concat().into_bytes());
    serve(Router::new().fallback(move |uri: Uri| async move {
        match uri.path().strip_prefix(&base) {
            Some("sha256sums.txt") => Ok(sums),
            Some(_) => Ok(archive),
            None => Err(StatusCode::NOT_FOUND),
        }
    }))
}
