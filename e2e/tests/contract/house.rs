//! The tables of `docs/architecture.md` list the modules of each crate from the top down: a module uses only those
//! below its own.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use regex::Regex;

use crate::{assert_none, shipped};

const PAGE: &str = "docs/architecture.md";

#[test]
fn every_module_of_the_exporter_has_a_row_and_uses_only_those_below() {
    assert_none(&problems("## The exporter", "exporter/src"));
}

#[test]
fn every_folder_of_the_harness_has_a_row_and_uses_only_those_below() {
    assert_none(&problems("## The harness", "e2e/src"));
}

fn problems(heading: &str, source: &str) -> Vec<String> {
    let page = shipped::read(PAGE);
    let section = page.split("\n## ").find(|section| heading.ends_with(section.lines().next().unwrap())).unwrap();
    let rows: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let library = shipped::read(&format!("{source}/lib.rs"));
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let modules: BTreeSet<&str> = modules.collect();

    let mut problems = Vec::new();
    for module in &modules {
        let Some(place) = rows.iter().position(|row| row == module) else {
            problems.push(format!("{PAGE}: {heading}: no row for `{module}`"));
            continue;
        };
        for used in imports(source, module) {
            if rows[..place].contains(&used.as_str()) {
                problems.push(format!("`{module}` of {source} uses `{used}`, which {PAGE} lists above it"));
            }
        }
    }
    problems
}

/// The names that a module's files take from their own crate, as in `crate::tools::…` and `crate::{tools, workspace}`.
fn imports(source: &str, module: &str) -> BTreeSet<String> {
    let import = Regex::new(r"\bcrate::(?:\{([^}]*)\}|(\w+))").unwrap();
    let mut files = shipped::files(&shipped::path(source).join(module));
    files.push(shipped::path(source).join(module).with_extension("rs"));
    let texts: Vec<String> =
        files.iter().filter(|path| is_rust(path)).filter_map(|path| fs::read_to_string(path).ok()).collect();
    // A link in a comment is no import.
    let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let names = import.captures_iter(&code).flat_map(|found| {
        let names = found.get(1).or_else(|| found.get(2)).unwrap().as_str().split(',');
        names.map(|name| name.trim().split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    });
    names.collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}
