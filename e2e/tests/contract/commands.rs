//! The commands of the pages: each names what there is, and each that stands in a block is run by a test or by CI, or
//! it is said here why not.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use e2e::process::command::Cmd;
use mini_node_exporter::cli;
use regex::Regex;

use crate::pages::{self, Page};
use crate::{assert_none, shipped};

/// Who runs a command.
enum Ran {
    /// What this text of this file does; a test's text is its head.
    By(&'static str, &'static str),
    /// Nobody, for this reason.
    Not(&'static str),
}
use Ran::{By, Not};

const BLOCKS: [(&str, Ran); 27] = [
    ("cargo lab", By("e2e/tests/local/ends.rs", "fn an_interrupt_while_it_stays(")),
    ("cargo test", By(".ci/run", "cargo test --workspace")),
    ("cargo lab check --without grafana", By("e2e/tests/local/passing.rs", "fn every_check_on_the_live_proc(")),
    (
        "cargo lab --path.procfs fixtures/512-cores-heavy-load/proc",
        By("e2e/tests/local/shared.rs", "fn every_check_passes_with_exact_values("),
    ),
    (
        "cargo lab check --nodes 50 --without grafana",
        By(
            "e2e/tests/local/fleet.rs",
            "\"check\", \"--nodes\", \"300\", \"--clusters\", \"2\", \"--without\", \"grafana\"",
        ),
    ),
    (
        "cargo lab check --prometheus https://prometheus.example.org",
        By("e2e/tests/local/existing.rs", "fn behind_tls_and_a_password("),
    ),
    (
        "cargo lab check --prometheus https://prometheus.example.org --grafana https://grafana.example.org",
        Not("a Grafana is not at hand everywhere; `e2e/src/client/grafana/tests.rs` has the answers of a real one"),
    ),
    (
        "cargo lab check --prometheus http://127.0.0.1:9090 --context production --namespace mini-node-exporter",
        By(".github/workflows/e2e.yml", "cargo lab check --prometheus http://127.0.0.1:9090 --context"),
    ),
    ("cargo lab --backend kind", By("e2e/tests/cluster/main.rs", "kubernetes::every_node_runs_an_exporter")),
    ("cargo lab check --backend kind", By("e2e/tests/cluster/main.rs", "values::every_check_passes")),
    ("cargo lab images build --airgap", By("justfile", "--bin lab -- images build --airgap")),
    ("cargo lab check --backend kind --airgap --without grafana", By(".ci/run", "just e2e-airgap")),
    (
        "cargo lab scenario list",
        By("e2e/tests/local/scenarios.rs", "lab.run(&[\"scenario\", \"list\"], &[])?.expect_code(0)"),
    ),
    ("cargo lab scenario run load-spike", By("e2e/tests/local/scenarios.rs", "a_load_spike: \"load-spike\"")),
    (
        "cargo lab up --nodes 50 --scenario load-spike",
        Not("it stays for minutes; the fleet and the play are each run, by `fleet.rs` and `scenarios.rs`"),
    ),
    (
        "kubectl apply -k kustomize/overlays/production",
        By(".github/workflows/e2e.yml", "kubectl apply --kustomize e2e/operator"),
    ),
    ("kubectl apply -k kustomize/", By("kustomize/overlays/kind/kustomization.yaml", "../../stack")),
    (
        "kubectl -n mini-node-exporter exec deploy/grafana -c grafana -- cat /run/grafana-admin/password",
        Not("the labs let anybody look, so that no check needs the password"),
    ),
    (
        "gh attestation verify mini-node-exporter-0.1.0-linux-amd64 --repo mini-node-exporter/mini-node-exporter",
        Not("there has been no release yet"),
    ),
    (
        "gh attestation verify oci://ghcr.io/mini-node-exporter/mini-node-exporter:0.1.0 --repo mini-node-exporter/mini-node-exporter",
        Not("there has been no release yet"),
    ),
    ("just", Not("it lists the recipes")),
    ("just ci", Not("it is what runs this test")),
    ("just bench", Not("its numbers are the machine's; `.ci/run` holds the budgets instead")),
    (
        "just release-check v0.1.0",
        Not("0.1.0 has no date in CHANGELOG.md before it is released; `.ci/run` takes it without a tag"),
    ),
    ("git tag --sign v0.1.0", Not("it begins a release")),
    ("git push origin v0.1.0", Not("it makes a release")),
    (
        "kind create cluster --name NAME --image NODE_REF --config e2e/airgap/kind.yaml --kubeconfig FILE --wait 120s",
        By("e2e/src/backend/kind/kind_cli.rs", "[\"--image\", image, \"--wait\", \"120s\""),
    ),
];

static PAGES: LazyLock<Vec<Page>> = LazyLock::new(pages::all);

#[test]
fn every_command_of_a_block_is_run_or_says_why_not() {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for page in PAGES.iter() {
        for command in page.commands() {
            match BLOCKS.iter().find(|(known, _)| *known == command) {
                None => problems.push(format!("{}: `{command}` is run by nobody: give it a row here", page.name)),
                Some((_, By(file, text))) if !shipped::read(file).contains(text) => {
                    problems.push(format!("{}: `{command}` is run by `{text}`, which {file} does not have", page.name));
                }
                Some((_, Not(reason))) if reason.split(' ').count() < 4 => {
                    problems.push(format!("{}: `{command}` is not run, and `{reason}` is no reason", page.name));
                }
                Some(_) => {}
            }
            seen.insert(command);
        }
    }
    let unused = BLOCKS.iter().filter(|(known, _)| !seen.contains(*known));
    problems.extend(unused.map(|(known, _)| format!("`{known}` stands on no page")));
    assert_none(&problems);
}

#[test]
fn every_command_names_what_there_is() {
    let mut problems = Vec::new();
    // A changelog speaks of what was.
    for page in PAGES.iter().filter(|page| page.name != "CHANGELOG.md") {
        for command in page.commands().into_iter().chain(page.spans()) {
            if let Err(problem) = parses(&command) {
                problems.push(format!("{}: `{command}`: {problem}", page.name));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn a_flag_a_recipe_and_a_path_that_are_not_there_are_seen() {
    for wrong in [
        "cargo lab check --with grafana",
        "cargo lab scenarios list",
        "cargo run -p mini-node-exporter -- --procfs fixtures",
        "cargo test -p e2e --test nowhere",
        "just e3e",
        "scripts/nothing",
        "kubectl apply -k kustomize/overlays/nowhere",
    ] {
        assert!(parses(wrong).is_err(), "`{wrong}` is taken for a command");
    }
}

/// As far as can be told without running it. What another project's program takes, nobody here knows.
fn parses(command: &str) -> Result<(), String> {
    let words: Vec<&str> = command.split_whitespace().map(example).collect();
    let there = |path: &str| if shipped::path(path).exists() { Ok(()) } else { Err(format!("there is no {path}")) };
    match words.as_slice() {
        ["cargo", "lab", rest @ ..] | ["lab", rest @ ..] => {
            // It is read from left to right: what is wrong before `--help` is said instead of it.
            let run = Cmd::new(env!("CARGO_BIN_EXE_lab")).args(rest).arg("--help").run();
            run.map(drop).map_err(|error| error.to_string())
        }
        ["cargo", "run", "-p", "mini-node-exporter", "--", rest @ ..] => {
            let error = cli::parse(["mini-node-exporter"].iter().chain(rest).chain(&["--help"])).err();
            let help = |error: &clap::Error| error.kind() == clap::error::ErrorKind::DisplayHelp;
            error.filter(|error| !help(error)).map_or(Ok(()), |error| Err(error.to_string()))
        }
        ["cargo", "test", rest @ ..] => {
            let mut named = rest.windows(2).filter(|pair| pair[0] == "--test").map(|pair| pair[1]);
            let binary = |name: &str| {
                let place = |folder| ["", "/main"].map(|end| format!("{folder}/tests/{name}{end}.rs"));
                place("e2e").iter().chain(&place("exporter")).any(|path| shipped::path(path).exists())
            };
            let missing = named.find(|name| !binary(name));
            missing.map_or(Ok(()), |name| Err(format!("no test binary `{name}`")))
        }
        ["just", recipe, ..] => {
            let head = Regex::new(&format!("(?m)^{}( [^:]*)?:( |$)", regex::escape(recipe))).unwrap();
            let found = head.is_match(&shipped::read("justfile"));
            if found { Ok(()) } else { Err(format!("the justfile has no recipe `{recipe}`")) }
        }
        ["kubectl", "apply", "-k", folder] => there(&format!("{folder}/kustomization.yaml")),
        [program, ..] if program.starts_with("scripts/") || program.starts_with(".ci/") => there(program),
        _ => Ok(()),
    }
}

/// What stands for a number is one.
fn example(word: &str) -> &str {
    if word == "N" { "2" } else { word }
}
