//! The commands of the runbook: a shell runs them with stand-ins that record their arguments, kubectl has to accept those
//! as far as it can without a server, and what they name is in the manifests. The cluster tier runs them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use e2e::workspace;
use serde_json::{Value, json};

use crate::references::made_by_hand;
use crate::render::{self, Rendering, assert_none, list, outside_the_tree, text};
use crate::support::{self, NODE};

const NAMESPACE: &str = "mini-node-exporter";
const POD: &str = "mini-node-exporter-x7k2p";

/// Records its name and arguments, and prints the names that the runbook's commands hand on.
const STAND_IN: &str = r#"#!/bin/sh
# In one write, because the programs of a pipe record at once.
line=$(printf '%s\037' "${0##*/}" "$@")
printf '%s\n' "$line" >>"$RECORD"
case "$*" in
  *"-n default get pods --output name"*) echo pod/node-debugger-worker-1-x7k2p ;;
  *"--output name"*) echo pod/mini-node-exporter-x7k2p ;;
  *custom-columns=:metadata.namespace,:metadata.name*) echo mini-node-exporter mini-node-exporter-x7k2p ;;
esac
"#;

/// The programs that have a stand-in; others are a shell's usual tools.
const PROGRAMS: [&str; 6] = ["kubectl", "curl", "openssl", "journalctl", "ps", "certificates"];

#[test]
fn every_command_of_the_runbook_names_what_there_is() {
    let rendering = outside_the_tree("the-runbook's", |directory, tree| {
        let components = ["network-policy", "pod-monitor", "tls"].map(|name| format!("{tree}/components/{name}"));
        let kustomization = json!({ "resources": [format!("{tree}/stack")], "components": components });
        fs_err::write(directory.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    });
    let commands = recorded();
    let mut problems = Vec::new();
    for command in &commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let found = match words.as_slice() {
            ["kubectl", args @ ..] => [refused(args), unknown_names(args, &rendering)].concat(),
            ["curl", .., url] => unknown_url(url, &commands),
            _ => Vec::new(),
        };
        problems.extend(found.iter().map(|problem| format!("`{}`: {problem}", words.join(" "))));
    }
    assert!(commands.len() > 30, "only {} commands", commands.len());
    assert_none(&problems);
}

/// Runs every block, and gives the commands that it came to.
fn recorded() -> BTreeSet<Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("record");
    fs_err::create_dir(directory.path().join("scripts")).unwrap();
    for program in PROGRAMS {
        let place = if program == "certificates" { format!("scripts/{program}") } else { program.to_owned() };
        assert!(program != "certificates" || workspace::root().join(&place).exists(), "there is no {place}");
        let path = directory.path().join(place);
        fs_err::write(&path, STAND_IN).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let runbook = support::read();
    for block in &runbook.blocks {
        // What is in the background has ended by itself.
        let script = format!("set -eu\nkill() {{ wait; }}\n{}{block}wait\n", runbook.variables);
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).env("PATH", &path).env("RECORD", &record);
        let run = shell.current_dir(&directory).stdin(Stdio::null()).output().unwrap();
        assert!(run.stderr.is_empty(), "{block}{}", String::from_utf8_lossy(&run.stderr));
    }
    let record = fs_err::read_to_string(record).unwrap();
    record.lines().map(|line| line.trim_end_matches('\x1f').split('\x1f').map(str::to_owned).collect()).collect()
}

/// What kubectl says about the arguments themselves: with good ones it gets as far as to a server that is not there.
fn refused(args: &[&str]) -> Vec<String> {
    let files = args.iter().map(|arg| if arg.starts_with("--from-file=") { "--from-file=/etc/hostname" } else { arg });
    let mut kubectl = Command::new(render::kubectl())
        .args(["--server=http://127.0.0.1:1", "--request-timeout=2s"])
        .args(files)
        .env("KUBECONFIG", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let object = b"{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"a\"}}";
    // Most read nothing.
    let _ = kubectl.stdin.take().unwrap().write_all(object);
    let output = kubectl.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let accepted =
        output.status.success() || said.contains("127.0.0.1:1 was refused") || said.contains("connection refused");
    if accepted { Vec::new() } else { vec![said.trim().to_owned()] }
}

fn unknown_url(url: &str, commands: &BTreeSet<Vec<String>>) -> Vec<String> {
    let forwarded = |port: &str| {
        commands.iter().any(|it| it.iter().any(|word| word == "port-forward") && it.last().unwrap() == port)
    };
    let (port, path) = url.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/')).unwrap_or((url, ""));
    let reference = fs_err::read_to_string(workspace::root().join("docs/reference.md")).unwrap();
    let mut problems = Vec::new();
    if !forwarded(port) {
        problems.push(format!("no command forwards port {port}"));
    }
    if !reference.contains(&format!("`GET /{path}`")) {
        problems.push(format!("the exporter has no endpoint /{path}"));
    }
    problems
}

/// What the words of a command name and the manifests do not have: objects by `KIND/NAME`, another namespace, and ports.
fn unknown_names(words: &[&str], rendering: &Rendering) -> Vec<String> {
    let mut problems = Vec::new();
    for (kind, name) in words.iter().filter_map(|word| word.split_once('/')) {
        let is_it =
            |object: &Value| text(object, "/kind").to_lowercase() == kind && text(object, "/metadata/name") == name;
        let known = match kind {
            "node" => name == NODE,
            "pod" => name == POD || name.starts_with("node-debugger-"),
            "secret" => made_by_hand(name),
            "daemonset" | "deployment" | "service" | "networkpolicy" => rendering.documents.iter().any(is_it),
            _ => true,
        };
        if !known {
            problems.push(format!("there is no {kind} {name}"));
        }
    }
    // A privileged pod is refused in the exporter's.
    let namespace = words.windows(2).find(|pair| pair[0] == "-n").map(|pair| pair[1]);
    if namespace.is_some_and(|namespace| ![NAMESPACE, "default"].contains(&namespace)) {
        problems.push(format!("the namespace is {namespace:?}"));
    }
    if let (true, Some(port)) = (words.contains(&"port-forward"), words.last()) {
        let ports = list(rendering.object("DaemonSet", "mini-node-exporter"), "/spec/template/spec/containers/0/ports");
        if !ports.iter().any(|it| it["containerPort"].as_u64() == port.parse().ok()) {
            problems.push(format!("the exporter has no port {port}"));
        }
    }
    problems
}
