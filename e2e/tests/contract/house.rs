//! The house as drawn in `docs/architecture.md` is the house as built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use e2e::workspace::root;

use crate::{assert_none, shipped};

const PAGE: &str = "docs/architecture.md";

#[test]
fn every_folder_of_the_harness_is_drawn_and_every_import_is_an_arrow() {
    let drawn = drawn(2);
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

/// Each in the table, and each import on a path of the first picture.
#[test]
fn every_module_of_the_exporter_has_a_row_and_every_import_is_a_way_down() {
    let rows: BTreeSet<String> = listed(&shipped::read(PAGE), "| `").into_iter().collect();
    let drawn = drawn(1);
    let source = root().join("exporter/src");
    let mut problems = Vec::new();
    // The build script's facts are no part of the house.
    let modules = listed(&shipped::read("exporter/src/lib.rs"), "pub mod ");
    let modules: Vec<&str> = modules.iter().map(|line| line.trim_end_matches(';')).filter(|m| *m != "build").collect();
    for module in modules.iter().copied().chain(["main"]) {
        if !rows.contains(module) {
            problems.push(format!("{PAGE} has no row for `{module}`"));
        }
        let own = files(&source).into_iter().filter(|file| {
            let below = file.strip_prefix(&source).unwrap();
            below.starts_with(module) || below == Path::new(module).with_extension("rs")
        });
        let text: String = own.map(|file| fs::read_to_string(file).unwrap()).collect();
        // A link in a comment is no import.
        let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let used: BTreeSet<String> =
            [imported(&text, "crate::"), imported(&text, "mini_node_exporter::")].concat().into_iter().collect();
        for other in used.iter().filter(|other| *other != module && modules.contains(&other.as_str())) {
            if !leads(&drawn, module, other) {
                problems.push(format!("no way leads from `{module}` to `{other}` in {PAGE}"));
            }
            if leads(&drawn, other, module) {
                problems.push(format!("`{module}` uses `{other}`, which is above it in {PAGE}"));
            }
        }
    }
    assert_none(&problems);
}

/// Whether one follows the arrows from the one to the other.
fn leads(drawn: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    drawn.get(from).into_iter().flatten().any(|next| next == to || leads(drawn, next, to))
}

/// The first name of each line that begins like this.
fn listed(text: &str, begins: &str) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.strip_prefix(begins)?.split('`').next()?.to_owned())).collect()
}

/// The arrows of a picture of the page: the exporter's is the first, the harness' the second.
fn drawn(picture: usize) -> BTreeMap<String, BTreeSet<String>> {
    let page = shipped::read(PAGE);
    let picture = page.split("```mermaid").nth(picture).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in picture.lines() {
        let stops: Vec<&str> = line.trim().split(" --> ").collect();
        for (from, to) in stops.iter().zip(stops.iter().skip(1)) {
            let from = from.split('[').next().unwrap_or(from).to_owned();
            arrows.entry(from).or_default().extend(to.split(" & ").map(str::to_owned));
        }
    }
    arrows
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
        let used = imported(&text, "crate::").into_iter();
        let used: BTreeSet<String> =
            used.filter(|other| !other.is_empty() && *other != folder && source.join(other).is_dir()).collect();
        built.insert(folder, used);
    }
    built
}

/// What is named of a crate, such as `tools` in `crate::tools::…` and in `crate::{tools, workspace}`.
fn imported(text: &str, of: &str) -> Vec<String> {
    let named = text.split(of).skip(1).flat_map(|rest| {
        let group = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
        group.unwrap_or(rest.split("::").next().unwrap_or_default()).split(',').map(name).collect::<Vec<_>>()
    });
    named.collect()
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
