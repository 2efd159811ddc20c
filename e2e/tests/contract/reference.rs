//! `docs/reference.md` against the programs: every flag, default, endpoint and metric, in both directions.

use std::collections::BTreeSet;
use std::process::Command;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use e2e::terminal::exit::Exit;
use mini_node_exporter::cli;
use mini_node_exporter::http::{ExporterOptions, ExporterState, router};
use tower::ServiceExt as _;

use crate::{assert_none, shipped};

const PAGE: &str = "docs/reference.md";

#[test]
fn the_exporters_flags_and_defaults_are_those_of_its_help() {
    let help = cli::parse(["mini-node-exporter", "--help"]).err().unwrap().to_string();
    let page = section("## The exporter", "### Limits");
    let mut problems = differences(&flags(&help), &flags(page), "mini-node-exporter --help");
    for row in page.lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (flag, default) = (flags(cells[0]).pop_first().unwrap_or_default(), cells[1].trim());
        let Some(default) = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else { continue };
        let entry = help.lines().skip_while(|line| !line.contains(&flag)).take(4).collect::<Vec<_>>().join(" ");
        if !entry.contains(&format!("[default: {default}]")) {
            problems.push(format!("{flag}: the default is not `{default}`: {entry}"));
        }
    }
    assert_none(&problems);
}

#[test]
fn the_labs_flags_are_those_of_its_help() {
    let mut help = String::new();
    let commands: [&[&str]; 7] =
        [&["up"], &["check"], &["status"], &["doctor"], &["mutate"], &["scenario", "run"], &["images", "build"]];
    for words in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_lab")).args(words).arg("--help").output().unwrap();
        assert!(output.status.success(), "lab {words:?} --help: {output:?}");
        help.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    assert_none(&differences(&flags(&help), &flags(section("## The lab", "## Exit codes")), "lab --help"));
}

#[test]
fn every_endpoint_answers() {
    let rows = section("## The exporter", "### Limits").lines().filter_map(|line| line.strip_prefix("| `GET "));
    let paths: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert!(paths.len() >= 7, "{paths:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let config =
        || ExporterOptions { procfs: shipped::path("fixtures/ordinary-node/proc"), ..ExporterOptions::default() };
    let status = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        runtime.block_on(router(ExporterState::new(config())).oneshot(request)).unwrap().status()
    };
    let wrong = paths.iter().filter(|path| status(path) != StatusCode::OK);
    assert_none(&wrong.map(|path| format!("GET {path} answers {}", status(path))).collect::<Vec<_>>());
}

#[test]
fn every_metric_is_exposed_and_every_exposed_one_is_listed() {
    let table = section("| metric |", "| flag |").lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<String> = table.filter_map(|row| Some(row.split('`').next()?.to_owned())).collect();
    let of_the_process = |name: &String| name.starts_with("process_");
    let exposed: BTreeSet<String> = shipped::exposed().into_keys().filter(|name| !of_the_process(name)).collect();
    assert_none(&differences(&exposed, &listed.into_iter().filter(|name| !of_the_process(name)).collect(), "/metrics"));
}

/// A code is what a script looks at, so its row says what the program means by it.
#[test]
fn the_labs_exit_codes_are_those_of_the_table() {
    let table = section("## Exit codes", "## Environment");
    let rows: Vec<Vec<&str>> =
        table.lines().map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let mut of_lab: Vec<(&str, &str)> = rows.iter().filter(|row| row.len() == 3).map(|row| (row[0], row[2])).collect();
    of_lab.retain(|(code, _)| code.parse::<u8>().is_ok());
    let known = [
        (Exit::Ok, "every check passed"),
        (Exit::Failed, "failed"),
        (Exit::Usage, "command line"),
        (Exit::Skipped, "skipped"),
    ];
    assert_eq!(of_lab.len(), known.len(), "{PAGE}: {table}");
    for ((code, row), (exit, meaning)) in of_lab.into_iter().zip(known) {
        assert_eq!(code, (exit as u8).to_string(), "{PAGE}: {row}");
        assert!(row.contains(meaning), "{PAGE}: code {code} is {exit:?}: {row}");
    }
}

fn differences(there: &BTreeSet<String>, listed: &BTreeSet<String>, place: &str) -> Vec<String> {
    let missing = there.difference(listed).map(|name| format!("{PAGE} does not have `{name}`, which {place} has"));
    let extra = listed.difference(there).map(|name| format!("{PAGE} has `{name}`, which {place} does not have"));
    missing.chain(extra).collect()
}

/// The long flags that a text names; `--collector.NAME` stands for every collector's.
fn flags(text: &str) -> BTreeSet<String> {
    let starts =
        text.match_indices("--").filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '-'));
    let names = starts.map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-' && c != '.').unwrap_or(rest.len());
        rest[..end].trim_end_matches(['.', '-']).to_owned()
    });
    let known = |name: &String| name.len() > 2 && !["--help", "--version"].contains(&name.as_str());
    let general =
        |name: String| match name.strip_prefix("--collector.").or_else(|| name.strip_prefix("--no-collector.")) {
            Some("disable-defaults") | None => name,
            Some(_) => name.split('.').next().unwrap_or_default().to_owned(),
        };
    names.filter(known).map(general).collect()
}

/// The page from one line to another.
fn section(from: &str, to: &str) -> &'static str {
    let page: &'static str = Box::leak(shipped::read(PAGE).into_boxed_str());
    let start = page.find(from).unwrap_or_else(|| panic!("{PAGE} has no `{from}`"));
    let end = page[start..].find(to).unwrap_or_else(|| panic!("{PAGE} has no `{to}` after `{from}`"));
    &page[start..start + end]
}
