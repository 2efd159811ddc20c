//! What stands in several workflows, or in one and elsewhere, is the same everywhere. Their own linters are those of
//! `just lint-workflows`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use regex::Regex;

use crate::{assert_none, shipped};

const FOLDER: &str = ".github/workflows";

/// What CI does, where no workflow runs.
const LOCAL: &str = ".ci/run";

/// A tag can be moved to other code, a commit cannot; the comment is for people, and for Dependabot.
#[test]
fn every_action_is_pinned_by_its_commit() {
    let pinned = Regex::new(r"^[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$").unwrap();
    let mut pins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, text) in workflows() {
        for action in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
            if !pinned.is_match(action) {
                problems.push(format!("{name}: `{action}` is not OWNER/NAME@COMMIT # vX.Y.Z"));
            }
            let (action, pin) = action.split_once('@').unwrap_or((action, ""));
            pins.entry(action.to_owned()).or_default().insert(pin.to_owned());
        }
    }
    let several = pins.into_iter().filter(|(_, pins)| pins.len() > 1);
    problems.extend(several.map(|(action, pins)| format!("{action} is pinned in several ways: {pins:?}")));
    assert_none(&problems);
}

/// `cargo install`, `pipx install` and `pip install` alike.
#[test]
fn every_program_is_installed_at_one_version() {
    let program = Regex::new(r"\b([a-z][a-z0-9-]*)(?:@|==)(\d+\.\d+\.\d+)\b").unwrap();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, text) in workflows().into_iter().chain([(LOCAL.to_owned(), shipped::read(LOCAL))]) {
        for found in program.captures_iter(&text) {
            versions.entry(found[1].to_owned()).or_default().insert(found[2].to_owned());
        }
    }
    assert!(versions.contains_key("cargo-auditable") && versions.contains_key("rust-just"), "{versions:?}");
    let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    assert_none(&several.map(|(name, versions)| format!("{name} is installed as {versions:?}")).collect::<Vec<_>>());
}

/// The oldest is that of `Cargo.toml`; everything else is built with one compiler.
#[test]
fn the_workflows_use_one_rust_and_the_oldest() {
    let used: BTreeSet<String> = workflows().iter().flat_map(|(_, text)| toolchains(text)).collect();
    let oldest = format!("{}.0", env!("CARGO_PKG_RUST_VERSION"));
    assert!(used.contains(&oldest), "no job checks with Rust {oldest}, the `rust-version` of Cargo.toml: {used:?}");
    assert_eq!(used.len(), 2, "more than the oldest and one more: {used:?}");
    let asked = format!("You need Rust {} or newer", env!("CARGO_PKG_RUST_VERSION"));
    assert!(shipped::read("README.md").contains(&asked), "README.md does not say: {asked}");
}

fn toolchains(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.trim().strip_prefix("RUSTUP_TOOLCHAIN: ")?.to_owned())).collect()
}

/// Each workflow's name and text.
fn workflows() -> Vec<(String, String)> {
    let files = fs::read_dir(shipped::path(FOLDER)).unwrap().map(|entry| shipped::name(&entry.unwrap().path()));
    files.map(|name| (name.clone(), shipped::read(&name))).collect()
}
