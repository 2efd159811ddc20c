//! The cache of downloaded tools: one folder for each version, unpacked elsewhere and renamed into place, so that a folder
//! that exists is complete.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use fs_err as fs;
use tempfile::TempDir;

use super::known::Tool;
use super::version;
use crate::terminal::progress::Step;
use crate::wait::lock::{self, Lock};
use crate::workspace;

/// The programs of that name in the cache, newest version first.
pub(super) fn programs(tool: Tool) -> Result<Vec<PathBuf>> {
    let tools = tools()?;
    let names = fs::read_dir(&tools)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with(&prefix(tool)));
    let places = ["usr/bin", "bin", ""];
    Ok(newest_first(names.collect())
        .iter()
        .filter_map(|name| places.iter().find_map(|place| program(tool, &tools.join(name).join(place))))
        .collect())
}

/// The tool's program in a folder, by whichever name it has there.
pub(super) fn program(tool: Tool, folder: &Path) -> Option<PathBuf> {
    tool.names().iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// Sorted by the versions in the names: as text 3.5.0 would come before 3.10.0.
fn newest_first(mut names: Vec<String>) -> Vec<String> {
    names.sort_by_cached_key(|name| Reverse((version::first(name), name.clone())));
    names
}

/// Waits until no other run downloads the same tool.
pub(super) fn lock(tool: Tool, step: &Step) -> Result<Lock> {
    lock::hold(&tools()?.join(format!(".lock-{}", tool.folder())), Duration::from_secs(600), |text| step.note(text))
}

/// Makes a folder to unpack into, and removes what a killed run left of its own: the lock is held.
pub(super) fn scratch(tool: Tool) -> Result<TempDir> {
    let prefix = format!(".new-{}-", tool.folder());
    for entry in fs::read_dir(tools()?)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir_in(tools()?)?)
}

/// Renames what was unpacked to its final place.
pub(super) fn publish(tool: Tool, version: &str, unpacked: &Path) -> Result<PathBuf> {
    let place = tools()?.join(format!("{}{version}", prefix(tool)));
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(unpacked, &place)?;
    Ok(place)
}

fn prefix(tool: Tool) -> String {
    format!("{}-", tool.folder())
}

fn tools() -> Result<PathBuf> {
    let path = workspace::cache()?.join("tools");
    fs::create_dir_all(&path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_whatever_its_origin() {
        let names = [
            "prometheus-prometheus-3.5.0.linux-amd64",
            "prometheus-debian-2.53.3+ds1-2",
            "prometheus-debian-trixie",
            "prometheus-prometheus-3.10.0.linux-amd64",
        ];
        let sorted = newest_first(names.map(str::to_owned).to_vec());
        assert_eq!(sorted, [names[3], names[0], names[1], names[2]]);
    }
}
