//! The commands of the runbook: a shell runs them with stand-ins that record their arguments, kubectl has to accept those
//! as far as it can without a server, and what they name is in the manifests. The cluster tier runs them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use e2e::workspace;
use serde_json::json;

use crate::references::made_by_hand;
use crate::render::{self, Rendering, assert_none, at, list, outside_the_tree, text};
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

/// Flags of kubectl that take a value as the next word.
const WITH_VALUE: [&str; 11] = [
    "-n",
    "--as",
    "--field-selector",
    "--filename",
    "--image",
    "--output",
    "--profile",
    "--selector",
    "--sort-by",
    "--tail",
    "--timeout",
];

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
            ["kubectl", args @ ..] => [refused(args), Kubectl::read(args).problems(&rendering)].concat(),
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

/// A command of kubectl.
struct Kubectl<'a> {
    words: Vec<&'a str>,
    flags: Vec<(&'a str, &'a str)>,
}

impl<'a> Kubectl<'a> {
    fn read(args: &[&'a str]) -> Self {
        let (mut words, mut flags) = (Vec::new(), Vec::new());
        let mut args = args.iter().copied().take_while(|arg| *arg != "--");
        while let Some(arg) = args.next() {
            match arg.split_once('=') {
                Some(flag) if arg.starts_with('-') => flags.push(flag),
                _ if WITH_VALUE.contains(&arg) => flags.push((arg, args.next().unwrap_or(""))),
                _ if arg.starts_with('-') => flags.push((arg, "")),
                _ => words.push(arg),
            }
        }
        Self { words, flags }
    }

    fn flag(&self, name: &str) -> Option<&'a str> {
        self.flags.iter().find(|(flag, _)| *flag == name).map(|(_, value)| *value)
    }

    /// The objects that it names, as kind and name; without a name, all of a kind.
    fn objects(&self) -> Vec<(&'a str, Option<&'a str>)> {
        let rest = match self.words.as_slice() {
            ["create", _, _, name] => return vec![("secret", Some(name))],
            ["drain" | "uncordon", name] => return vec![("node", Some(name))],
            ["auth", ..] | ["replace"] | [] => return Vec::new(),
            ["port-forward", object, _] => &[*object],
            ["rollout", _, rest @ ..] | [_, rest @ ..] => rest,
        };
        match rest {
            [kind, names @ ..] if !kind.contains('/') && !names.is_empty() => {
                names.iter().map(|name| (*kind, Some(*name))).collect()
            }
            [kind] if !kind.contains('/') => vec![(*kind, None)],
            objects => {
                objects.iter().filter_map(|it| it.split_once('/')).map(|(kind, name)| (kind, Some(name))).collect()
            }
        }
    }

    fn problems(&self, rendering: &Rendering) -> Vec<String> {
        let mut problems = Vec::new();
        let objects = self.objects();
        let everywhere = self.flag("--all-namespaces").is_some();
        let of_nodes = objects.iter().all(|(kind, _)| kind.starts_with("node")) && !objects.is_empty();
        let elsewhere = self.words[0] == "debug"
            || objects.iter().any(|(_, name)| name.is_some_and(|it| it.starts_with("node-debugger")));
        match self.flag("-n") {
            None if everywhere || of_nodes && self.words[0] != "debug" => {}
            // A privileged pod is refused in the exporter's.
            Some("default") if elsewhere || self.words == ["get", "pods"] => {}
            Some(NAMESPACE) if !elsewhere => {}
            other => problems.push(format!("the namespace is {other:?}")),
        }
        for (kind, name) in objects {
            problems.extend(match name {
                Some(name) => missing(rendering, kind, name),
                None if kind == "pods" => self.unselected(rendering, everywhere),
                None => Vec::new(),
            });
        }
        if let ["port-forward", _, port] = self.words.as_slice() {
            let exporter = rendering.object("DaemonSet", "mini-node-exporter");
            let ports = list(exporter, "/spec/template/spec/containers/0/ports");
            if !ports.iter().any(|it| it["containerPort"].as_u64() == port.parse().ok()) {
                problems.push(format!("the exporter has no port {port}"));
            }
        }
        if let Some(account) = self.flag("--as") {
            let name = account.strip_prefix(&format!("system:serviceaccount:{NAMESPACE}:")).unwrap_or("");
            if !rendering.names("ServiceAccount").contains(name) {
                problems.push(format!("there is no service account {account}"));
            }
        }
        problems
    }

    /// Why a list of pods is not that of the exporter's, or of the node's.
    fn unselected(&self, rendering: &Rendering, everywhere: bool) -> Vec<String> {
        let selected = |selector: &str| {
            let (label, value) = selector.split_once('=').unwrap_or((selector, ""));
            let has = |it: &render::Workload<'_>| at(it.template, "/metadata/labels")[label] == json!(value);
            let names = rendering.workloads().into_iter().filter(has).map(|it| render::id(it.object));
            names.collect::<Vec<_>>()
        };
        let of_node = self.flag("--field-selector") == Some(&format!("spec.nodeName={NODE}"));
        match self.flag("--selector") {
            Some(selector) if selected(selector) == ["DaemonSet/mini-node-exporter"] => Vec::new(),
            Some(selector) => vec![format!("`{selector}` selects {:?}", selected(selector))],
            None if everywhere && of_node || self.flag("-n") == Some("default") => Vec::new(),
            None => vec!["it lists other pods than the exporter's".to_owned()],
        }
    }
}

fn missing(rendering: &Rendering, kind: &str, name: &str) -> Vec<String> {
    let there = match kind {
        "node" => name == NODE,
        "pod" => name == POD || name == "node-debugger-worker-1-x7k2p",
        "secret" => made_by_hand(name),
        kind => rendering
            .documents
            .iter()
            .any(|object| text(object, "/kind").to_lowercase() == kind && text(object, "/metadata/name") == name),
    };
    if there { Vec::new() } else { vec![format!("there is no {kind} {name}")] }
}
