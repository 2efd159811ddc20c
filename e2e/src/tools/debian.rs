//! Debian packages, downloaded by `apt-get` (which checks their signatures) with lists and caches of their own, and
//! unpacked into the cache: no root, nothing installed, the system's own lists untouched.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use fs_err as fs;

use super::cache;
use super::known::Tool;
use crate::process::command::{Cmd, CommandError};
use crate::terminal::progress::Step;
use crate::tools::pins::DEBIAN_SUITE;

/// Downloads and unpacks a tool's package, and returns the program's path.
pub(super) fn fetch(tool: Tool, step: &Step) -> Result<PathBuf> {
    let package = tool.debian_package().context("none exists")?;
    let mirror = mirror()?;
    let scratch = cache::scratch(tool)?;
    step.note("reading the list of Debian's packages");
    let apt = Apt::new(scratch.path(), &mirror)?;
    apt.run(&["update"])?;
    step.note(&format!("downloading Debian's package `{package}`"));
    apt.run(&["download", package])?;
    let archive = fs::read_dir(scratch.path())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get downloaded no `{package}`"))?;
    let tree = scratch.path().join("tree");
    Cmd::new("dpkg-deb").arg("--extract").arg(&archive).arg(&tree).limit(Duration::from_secs(120)).run()?;
    // The file's name is such as `prometheus_2.53.3+ds1-2_amd64.deb`.
    let name = archive.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let version = name.split('_').nth(1).unwrap_or(DEBIAN_SUITE);
    if tool == Tool::Alertmanager {
        let program = tree.join("usr/bin").join(tool.name());
        fs::write(&program, include_str!("debian/alertmanager"))?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    }
    let programs = cache::publish(tool, &format!("debian-{package}-{version}"), &tree)?.join("usr/bin");
    cache::program(tool, &programs).with_context(|| format!("Debian's package `{package}` holds no {}", tool.name()))
}

/// The mirror that this machine is set up for, or the one that `DEBIAN_MIRROR` names.
pub fn mirror() -> Result<String> {
    if let Some(mirror) = std::env::var("DEBIAN_MIRROR").ok().filter(|mirror| !mirror.is_empty()) {
        return Ok(mirror);
    }
    let known = Cmd::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])
        .read()
        .map_err(|error| short(&error))?;
    known
        .lines()
        .map(|uri| uri.trim_end_matches('/'))
        .find(|uri| uri.ends_with("/debian"))
        .map(str::to_owned)
        .context("apt's sources name no Debian mirror: set DEBIAN_MIRROR to one")
}

/// An `apt-get` with state of its own.
struct Apt<'d> {
    dir: &'d Path,
    options: Vec<OsString>,
}

impl<'d> Apt<'d> {
    fn new(dir: &'d Path, mirror: &str) -> Result<Self> {
        fs::create_dir_all(dir.join("lists/partial"))?;
        fs::create_dir_all(dir.join("archives/partial"))?;
        fs::write(dir.join("sources.list"), format!("deb {mirror} {DEBIAN_SUITE} main\n"))?;
        // An empty status: what is installed here must not decide which version is offered.
        fs::write(dir.join("status"), "")?;
        let at = |key: &str, name: &str| {
            let mut option = OsString::from(format!("{key}="));
            option.push(dir.join(name));
            option
        };
        let fixed = [
            "Dir::Etc::SourceParts=/dev/null",
            "Acquire::Languages=none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "Acquire::http::Timeout=5",
            "Acquire::https::Timeout=5",
            "Acquire::Retries=1",
            // Root's apt would otherwise drop to a user that cannot write here, and warn about it.
            "APT::Sandbox::User=root",
        ];
        let mut options = vec![
            at("Dir::Etc::SourceList", "sources.list"),
            at("Dir::State::Lists", "lists"),
            at("Dir::State::Status", "status"),
            at("Dir::Cache", ""),
        ];
        options.extend(fixed.iter().map(OsString::from));
        Ok(Self { dir, options })
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let options = self.options.iter().flat_map(|option| ["-o".into(), option.clone()]);
        Cmd::new("apt-get")
            .args(options)
            .args(words)
            .dir(self.dir)
            .limit(Duration::from_secs(180))
            .run()
            .map_err(|error| short(&error))?;
        Ok(())
    }
}

fn short(error: &CommandError) -> anyhow::Error {
    if error.not_found() { anyhow!("`apt-get` is not on PATH") } else { anyhow!("{}", error.reason()) }
}
