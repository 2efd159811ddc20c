//! The programs that the harness runs, and where they come from: a flag, `PATH`, the cache, the official release
//! tarball, a Debian package unpacked into the cache. Nothing is ever installed.

mod cache;
mod debian;
pub mod digest;
mod known;
pub mod pins;
mod tarball;
mod version;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

pub use debian::mirror as debian_mirror;
pub use known::Tool;
pub use version::Version;

use crate::terminal::progress::Step;

/// A program that can be run.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// What it says its version is; nothing if it was built without one.
    pub version: Option<Version>,
    /// How it came here: `flag`, `PATH`, `cache`, `tarball` or `Debian package`.
    pub origin: &'static str,
}

impl Found {
    /// Its version and origin, for people.
    pub fn summary(&self) -> String {
        let version = self.version.map_or("a build without a version".to_owned(), |version| version.to_string());
        format!("{version}, {}", self.origin)
    }
}

/// Finds a tool, and fetches it where it is not there yet.
pub fn find(tool: Tool, flag: Option<&Path>, step: &Step) -> Result<Found> {
    if let Some(path) = flag {
        ensure!(path.is_file(), "--{} {}: there is no such file", tool.name(), path.display());
        return check(tool, path.to_owned(), "flag");
    }
    let mut tried = Vec::new();
    match present(tool, &mut tried)? {
        Some(found) => Ok(found),
        None => fetch(tool, step, &mut tried),
    }
}

/// Finds a tool that is there already; the network is not used.
pub fn find_present(tool: Tool) -> Result<Found> {
    let mut tried = Vec::new();
    match present(tool, &mut tried)? {
        Some(found) => Ok(found),
        None => bail!("{}", tried.join("; ")),
    }
}

fn present(tool: Tool, tried: &mut Vec<String>) -> Result<Option<Found>> {
    let on_path: Vec<PathBuf> = tool.names().iter().flat_map(|name| on_path(name)).collect();
    if on_path.is_empty() {
        tried.push("PATH: not found".into());
    }
    for path in on_path {
        match check(tool, path, "PATH") {
            Ok(found) => return Ok(Some(found)),
            Err(error) => tried.push(format!("PATH: {error:#}")),
        }
    }
    for path in cache::programs(tool)? {
        match check(tool, path, "cache") {
            Ok(found) => return Ok(Some(found)),
            Err(error) => tried.push(format!("cache: {error:#}")),
        }
    }
    Ok(None)
}

fn fetch(tool: Tool, step: &Step, tried: &mut Vec<String>) -> Result<Found> {
    let _one_at_a_time = cache::lock(tool, step)?;
    // Another run may have fetched it while this one waited for the lock.
    if let Some(found) = present(tool, &mut Vec::new())? {
        return Ok(found);
    }
    match tarball::fetch(tool, step).and_then(|path| check(tool, path, "tarball")) {
        Ok(found) => return Ok(found),
        Err(error) => tried.push(format!("tarball: {error:#}")),
    }
    match debian::fetch(tool, step).and_then(|path| check(tool, path, "Debian package")) {
        Ok(found) => return Ok(found),
        Err(error) => tried.push(format!("Debian package: {error:#}")),
    }
    bail!("{} cannot be had ({}); {}", tool.name(), tried.join("; "), tool.advice())
}

fn check(tool: Tool, path: PathBuf, origin: &'static str) -> Result<Found> {
    let version = version::ask(tool, &path)?;
    if let Some(version) = version.filter(|version| *version < tool.minimum()) {
        bail!("{} is version {version}, and {} is the oldest that will do", path.display(), tool.minimum());
    }
    Ok(Found { path, version, origin })
}

/// Each file of that name on `PATH`, in order.
pub fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).filter(|file| file.is_file()).collect()
}
