//! The house as drawn in `docs/architecture.md` is the house as built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use e2e::workspace::root;

use crate::{assert_none, shipped};

const PAGE: &str = "docs/architecture.md";

#[test]
fn every_folder_of_the_harness_is_drawn_and_every_import_is_an_arrow() {
    let drawn = drawn();
    let order: Vec<String> = listed(&shipped::read("e2e/src/lib.rs"), "//! | [`");
    let folders: BTreeSet<String> = order.iter().cloned().collect();
    let place = |name: &str| order.iter().position(|other| other == name);
    let mut problems = Vec::new();
    for (folder, used) in built() {
        if !folders.contains(&folder) {
            problems.push(format!("e2e/src/lib.rs does not list `{folder}`"));
        }
        for other in &used {
            if !drawn.get(&folder).is_some_and(|arrows| arrows.contains(other)) {
                problems.push(format!("{PAGE} has no arrow from `{folder}` to `{other}`"));
            }
            if place(other) < place(&folder) {
                problems.push(format!("`{folder}` uses `{other}`, which is above it in e2e/src/lib.rs"));
            }
        }
        let unused = drawn.get(&folder).into_iter().flatten().filter(|other| !used.contains(*other));
        problems
            .extend(unused.map(|other| format!("{PAGE} has an arrow from `{folder}` to `{other}` that nothing needs")));
    }
    let rows: BTreeSet<String> = listed(&shipped::read(PAGE), "| `").into_iter().collect();
    problems.extend(
        folders
            .iter()
            .filter(|folder| !rows.contains(*folder))
            .map(|folder| format!("{PAGE} has no row for `{folder}`")),
    );
    assert_none(&problems);
}

/// The modules of the exporter, each in the table.
#[test]
fn every_module_of_the_exporter_has_a_row() {
    let rows: BTreeSet<String> = listed(&shipped::read(PAGE), "| `").into_iter().collect();
    let modules = shipped::read("exporter/src/lib.rs");
    let modules = modules.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    // The build script's facts are no part of the house.
    let missing = modules.filter(|module| *module != "build" && !rows.contains(*module));
    assert_none(&missing.map(|module| format!("{PAGE} has no row for `{module}`")).collect::<Vec<_>>());
}

/// The first name of each line that begins like this.
fn listed(text: &str, begins: &str) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.strip_prefix(begins)?.split('`').next()?.to_owned())).collect()
}

/// The arrows of the harness' picture, the second on the page.
fn drawn() -> BTreeMap<String, BTreeSet<String>> {
    let page = shipped::read(PAGE);
    let picture = page.split("```mermaid").nth(2).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let arrows = picture.lines().filter_map(|line| line.trim().split_once(" --> "));
    let names = |to: &str| to.split(" & ").map(str::to_owned).collect();
    arrows.map(|(from, to)| (from.split('[').next().unwrap_or(from).to_owned(), names(to))).collect()
}

/// The folders that each folder's files name.
fn built() -> BTreeMap<String, BTreeSet<String>> {
    let mut built: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let source = root().join("e2e/src");
    for entry in fs::read_dir(&source).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let folder = entry.file_name().to_string_lossy().into_owned();
        if folder == "bin" {
            continue;
        }
        let text: String = files(&entry.path()).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        // `crate::tools::…`, or `crate::{tools, workspace}`.
        let used = text.split("crate::").skip(1).flat_map(|rest| {
            let group = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
            group.unwrap_or(rest.split("::").next().unwrap_or_default()).split(',').map(name).collect::<Vec<_>>()
        });
        let used: BTreeSet<String> =
            used.filter(|other| !other.is_empty() && *other != folder && source.join(other).is_dir()).collect();
        built.insert(folder, used);
    }
    built
}

/// The name with which a text begins.
fn name(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    let (dirs, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    rust.chain(dirs.iter().flat_map(|dir| self::files(dir))).collect()
}
