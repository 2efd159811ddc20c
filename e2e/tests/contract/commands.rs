//! The commands of the pages: each names what there is.

use e2e::process::command::Cmd;
use mini_node_exporter::cli;
use regex::Regex;

use crate::{assert_none, pages, shipped};

#[test]
fn every_command_names_what_there_is() {
    let mut problems = Vec::new();
    // A changelog speaks of what was.
    for page in pages::all().iter().filter(|page| page.name != "CHANGELOG.md") {
        for command in page.commands().into_iter().chain(page.spans()) {
            if let Err(problem) = parses(&command) {
                problems.push(format!("{}: `{command}`: {problem}", page.name));
            }
        }
    }
    assert_none(&problems);
}

/// Checks a command without running it. Those of other projects' programs pass.
fn parses(command: &str) -> Result<(), String> {
    // One that goes on in the next line may have a quote without an end.
    let words = shlex::split(command).unwrap_or_else(|| command.split_whitespace().map(str::to_owned).collect());
    // A shell reads what a redirection names.
    let words: Vec<&str> = words.iter().map(|word| example(word)).take_while(|word| !word.starts_with('>')).collect();
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
