//! What stands in several workflows, or in two Dockerfiles, is the same everywhere. The workflows' own linters are those
//! of `just lint-workflows`.

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use regex::Regex;
use serde_json::{Map, Value};

use crate::{assert_none, shipped};

/// Actions at a commit, programs at a version (`cargo install`, `pipx install`, `pip install`).
#[test]
fn what_is_pinned_in_several_places_is_pinned_the_same() {
    let pin = Regex::new(r"([a-z][\w/.-]*)(?:@|==)([0-9a-f]{40}\b.*|\d+\.\d+\.\d+)").unwrap();
    let local = [".ci/run", "scripts/lint-workflows"].map(shipped::read).concat();
    let mut pins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for found in pin.captures_iter(&(workflows() + &local)) {
        pins.entry(found[1].to_owned()).or_default().insert(found[2].to_owned());
    }
    assert!(pins.contains_key("actions/checkout") && pins.contains_key("cargo-auditable"), "{pins:?}");
    let several = pins.into_iter().filter(|(_, pins)| pins.len() > 1);
    assert_none(&several.map(|(name, pins)| format!("{name} is pinned as {pins:?}")).collect::<Vec<_>>());
}

/// The oldest is that of `Cargo.toml`; everything else is built with one compiler.
#[test]
fn the_workflows_use_one_rust_and_the_oldest() {
    let workflows = workflows();
    let used = workflows.lines().filter_map(|line| line.trim().strip_prefix("RUSTUP_TOOLCHAIN: "));
    let used: BTreeSet<&str> = used.collect();
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    assert!(used.len() == 2 && used.contains(&*format!("{oldest}.0")), "not {oldest}, and one more: {used:?}");
    let asked = format!("Rust {oldest} or newer");
    assert!(shipped::read("README.md").contains(&asked), "README.md does not say: {asked}");
}

/// Whoever changes a workflow sees here that more of them may write; zizmor only knows what is never right.
#[test]
fn only_the_jobs_that_publish_may_write() {
    let mut writing = Vec::new();
    for file in fs::read_dir(shipped::path(".github/workflows")).unwrap() {
        let name = shipped::name(&file.unwrap().path());
        let workflow: Value = serde_saphyr::from_str(&shipped::read(&name)).unwrap();
        let mut look = |owner: String, permissions: &Value| {
            let read_only = |scopes: &Map<String, Value>| scopes.values().all(|access| access == "read");
            if !permissions.as_object().is_some_and(read_only) {
                writing.push(owner);
            }
        };
        look(name.clone(), &workflow["permissions"]);
        for (job, body) in
            workflow["jobs"].as_object().unwrap().iter().filter(|(_, body)| !body["permissions"].is_null())
        {
            look(format!("{name}: {job}"), &body["permissions"]);
        }
    }
    assert_eq!(writing, ["image", "publish"].map(|job| format!(".github/workflows/release.yml: {job}")));
}

/// One copies a binary that was built before, the other builds it: what they make is the same.
#[test]
fn both_dockerfiles_make_the_same_image() {
    let image = |file: &str| {
        let text = shipped::read(file);
        let (_, stage) = text.rsplit_once("FROM scratch\n").unwrap_or_else(|| panic!("{file} is not FROM scratch"));
        stage.lines().filter(|line| !line.starts_with("COPY ") && !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    let shipped = image("Dockerfile");
    assert_eq!(image("Dockerfile.source"), shipped);
    // Kubernetes' runAsNonRoot cannot look a name up.
    assert!(shipped.contains("\nUSER 65534:65534\n"), "{shipped}");
}

/// The text of all workflows.
fn workflows() -> String {
    let files = fs::read_dir(shipped::path(".github/workflows")).unwrap();
    files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}
