//! Where things lie: the workspace, the cache and the state directory (XDG base directory specification).

pub mod dashboard;
pub mod exporter;
pub mod held;
pub mod queries;
pub mod rules;
pub mod variables;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The workspace's root. The harness always works on the tree that it was built from.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// `$XDG_CACHE_HOME/mini-node-exporter`: tools that were fetched. May be deleted at any time.
pub fn cache() -> Result<PathBuf> {
    directory("XDG_CACHE_HOME", ".cache")
}

/// `$XDG_STATE_HOME/mini-node-exporter`: running labs and the evidence of failed ones.
pub fn state() -> Result<PathBuf> {
    directory("XDG_STATE_HOME", ".local/state")
}

fn directory(variable: &str, below_home: &str) -> Result<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let base = std::env::var_os(variable)
        .map(PathBuf::from)
        .and_then(absolute)
        .or_else(|| Some(absolute(std::env::var_os("HOME")?.into())?.join(below_home)))
        .with_context(|| format!("neither {variable} nor HOME names an absolute directory: set one of them"))?;
    let path = base.join("mini-node-exporter");
    std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(path)
}
