//! The programs that the harness runs, and where they come from: a flag, `PATH`, the cache, the official release, a Debian
//! package unpacked into the cache. The first that can do what is needed is used. Nothing is ever installed.

mod cache;
mod debian;
pub mod digest;
mod known;
pub mod pins;
mod release;
mod version;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

pub use debian::mirror as debian_mirror;
pub use known::Tool;
pub use version::Version;

use crate::process::command::Cmd;
use crate::terminal::progress::Step;

/// A program that can be run.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// The version that it prints; `None` if it was built without one.
    pub version: Option<Version>,
    /// Where it came from: `flag`, `PATH`, `cache`, `release` or `Debian package`.
    pub origin: &'static str,
}

impl Found {
    /// Its version and origin, for people.
    pub fn summary(&self) -> String {
        let version = self.version.map_or("a build without a version".to_owned(), |version| version.to_string());
        format!("{version}, {}", self.origin)
    }
}

/// The pinned kind: the oldest one that the pinned node image works with.
pub fn pinned_kind() -> Result<Version> {
    version::first(pins::KIND).with_context(|| format!("the pin of kind is `{}`, not a version", pins::KIND))
}

/// Finds a tool, or downloads it.
pub fn find(tool: Tool, flag: Option<&Path>, step: &Step) -> Result<Found> {
    match flag {
        Some(path) => named(tool, path),
        None => find_since(tool, tool.minimum(), step),
    }
}

/// Finds a tool of this version or a newer one, or downloads it.
pub fn find_since(tool: Tool, oldest: Version, step: &Step) -> Result<Found> {
    let mut search = Search { tool, oldest, failed: Vec::new() };
    match search.present()? {
        Some(found) => Ok(found),
        None => search.fetch(step),
    }
}

/// Finds a tool that is there already; the network is not used.
pub fn find_present(tool: Tool) -> Result<Found> {
    let mut search = Search { tool, oldest: tool.minimum(), failed: Vec::new() };
    search.present()?.ok_or_else(|| anyhow!("{}", search.failed.join("; ")))
}

/// The program in a file that a flag names.
pub fn named(tool: Tool, path: &Path) -> Result<Found> {
    ensure!(path.is_file(), "--{} {}: no such file", tool.name(), path.display());
    check(tool, tool.minimum(), path.to_owned(), "flag")
}

/// A search for a tool, and why each place that was tried did not have it.
struct Search {
    tool: Tool,
    oldest: Version,
    failed: Vec<String>,
}

impl Search {
    fn present(&mut self) -> Result<Option<Found>> {
        let on_path: Vec<PathBuf> = self.tool.names().iter().flat_map(|name| on_path(name)).collect();
        if on_path.is_empty() {
            self.failed.push("PATH: not found".into());
        }
        let cached = cache::programs(self.tool)?.into_iter().map(|path| ("cache", path));
        let mut places = on_path.into_iter().map(|path| ("PATH", path)).chain(cached);
        Ok(places.find_map(|(origin, path)| self.attempt(origin, Ok(path))))
    }

    fn fetch(&mut self, step: &Step) -> Result<Found> {
        let _one_at_a_time = cache::lock(self.tool, step)?;
        // Another run may have fetched it while this one waited for the lock.
        if let Some(found) = (Self { failed: Vec::new(), ..*self }).present()? {
            return Ok(found);
        }
        let found = self
            .attempt("release", release::fetch(self.tool, step))
            .or_else(|| self.attempt("Debian package", debian::fetch(self.tool, step)));
        let (name, tried, advice) = (self.tool.name(), self.failed.join("; "), self.tool.advice());
        found.ok_or_else(|| anyhow!("{name} could not be found or downloaded ({tried}); {advice}"))
    }

    fn attempt(&mut self, origin: &'static str, path: Result<PathBuf>) -> Option<Found> {
        let found = path.and_then(|path| check(self.tool, self.oldest, path, origin));
        found.map_err(|error| self.failed.push(format!("{origin}: {error:#}"))).ok()
    }
}

/// Fails unless the program can do what is needed of it.
fn check(tool: Tool, oldest: Version, path: PathBuf, origin: &'static str) -> Result<Found> {
    let version = version::ask(tool, &path)?;
    if let Some(version) = version.filter(|version| *version < oldest) {
        bail!("{} is version {version}, older than {oldest}", path.display());
    }
    if let Some(config) = tool.must_accept() {
        let file = tempfile::NamedTempFile::new()?;
        fs_err::write(file.path(), config)?;
        let checked = Cmd::new(&path).args(["check", "config"]).arg(file.path()).run();
        checked.map_err(|_| anyhow!("{} is built without Kubernetes discovery", path.display()))?;
    }
    Ok(Found { path, version, origin })
}

/// Each file of that name on `PATH`, in order.
fn on_path(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).filter(|file| file.is_file()).collect()
}
