//! The cache of fetched tools: one folder a version, made aside and renamed into place, so that a folder that is there
//! is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::known::Tool;
use crate::progress::Step;
use crate::{lock, paths};

/// The programs of that name in the cache, newest version first.
pub(super) fn programs(tool: Tool) -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(tools()?)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix(tool))))
        .collect();
    folders.sort();
    let places = ["usr/bin", "bin", ""];
    Ok(folders
        .iter()
        .rev()
        .filter_map(|folder| {
            places.iter().map(|place| folder.join(place).join(tool.name())).find(|file| file.is_file())
        })
        .collect())
}

/// Waits until no other run fetches the same tool.
pub(super) fn lock(tool: Tool, step: &Step) -> Result<File> {
    lock::hold(&tools()?.join(format!(".lock-{}", tool.name())), Duration::from_secs(600), step)
}

/// A folder to unpack into; what a killed run left of its own is removed first, for the lock is ours.
pub(super) fn aside(tool: Tool) -> Result<TempDir> {
    let prefix = format!(".new-{}-", tool.name());
    for entry in fs::read_dir(tools()?)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir_in(tools()?)?)
}

/// Renames what was unpacked to its final place.
pub(super) fn publish(tool: Tool, version: &str, aside: &Path) -> Result<PathBuf> {
    let place = tools()?.join(format!("{}{version}", prefix(tool)));
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(aside, &place).with_context(|| format!("{} cannot be renamed into place", place.display()))?;
    Ok(place)
}

fn prefix(tool: Tool) -> String {
    format!("{}-", tool.name())
}

fn tools() -> Result<PathBuf> {
    let path = paths::cache()?.join("tools");
    fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    Ok(path)
}
