//! `--help`, `--version`, every bad command line, the node's name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use insta::assert_snapshot;

use crate::support::running::{Running, command, output, output_of};
use crate::support::tree::Tree;

#[test]
pub fn help() {
    let output = output(["--help"]);
    assert!(output.status.success());
    assert_snapshot!("help", String::from_utf8(output.stdout).unwrap());
    assert_eq!(output.stderr, b"");
}

#[test]
pub fn version() {
    let output = output(["--version"]);
    assert!(output.status.success());
    let version = String::from_utf8(output.stdout).unwrap();
    assert!(version.starts_with(concat!("mini-node-exporter ", env!("CARGO_PKG_VERSION"), " (revision ")), "{version}");
    assert_eq!((version.lines().count(), output.stderr.as_slice()), (1, b"".as_slice()));
}

#[test]
fn a_bad_command_line_is_exit_code_2_and_a_line_that_names_flag_and_value() {
    for (flag, value) in [
        ("--web.listen-address", "node-1:23333"),
        ("--web.listen-address", ":"),
        ("--web.telemetry-path", "metrics"),
        ("--web.telemetry-path", "/info/load"),
        ("--web.telemetry-path", "/{capture}"),
        ("--web.max-requests", "-1"),
        ("--web.max-requests", "many"),
        ("--web.max-requests", "99999999999999999999999"),
        ("--web.cors.origin", "https://("),
        ("--web.systemd-socket", "yes"),
        ("--node-name", "bell\u{7}"),
        ("--log.level", "loud"),
        ("--log.level", "off"),
        ("--log.level", ""),
        ("--log.format", "xml"),
        ("--collector.load", "false"),
        ("--no-collector.uptime", "true"),
        ("--web.disable-exporter-metrics", "yes"),
    ] {
        let line = refused([format!("{flag}={value}")]);
        let shown = value.replace('\u{7}', "\\u{7}");
        assert!(line.contains(flag) && line.contains(&format!("'{shown}'")), "{flag}={value}: {line}");
    }
    for flag in ["--collector.nope", "--no-collector.nope", "--web.listen", "--config.file"] {
        assert!(refused([flag]).contains(flag), "{flag}");
    }
    for flag in ["--web.listen-address", "--path.procfs", "--node-name", "--log.level"] {
        assert!(refused([flag]).contains(flag), "{flag} without a value");
    }
    assert!(refused(["--path.procfs="]).contains("--path.procfs"));
    assert!(refused(["extra"]).contains("'extra'"));
}

#[test]
fn a_value_that_is_no_text_is_still_named() {
    for flag in ["--web.listen-address", "--node-name", "--log.level"] {
        let argument: OsString = [OsStr::new(flag), OsStr::new("="), OsStr::from_bytes(b"a\xff")].into_iter().collect();
        let line = refused([argument]);
        assert!(line.contains(flag) && line.contains("'a\u{fffd}'"), "{line}");
    }
    let line = refused(["--node-name=two\nlines"]);
    assert!(line.contains("'two\\nlines' for '--node-name"), "{line}");
}

#[test]
fn the_later_of_two_flags_wins() {
    let scrape = |arguments: &[&str]| Running::start(arguments).get("/metrics").1;
    let load = "node_scrape_collector_success{collector=\"load\"} 1";
    for (arguments, runs) in [
        (&["--no-collector.load"][..], false),
        (&["--no-collector.load", "--collector.load"][..], true),
        (&["--collector.load", "--no-collector.load"][..], false),
        (&["--collector.load", "--no-collector.load", "--collector.load", "--collector.load"][..], true),
        (&["--collector.disable-defaults"][..], false),
        (&["--collector.load", "--collector.disable-defaults"][..], true),
    ] {
        assert_eq!(scrape(arguments).contains(load), runs, "{arguments:?}");
    }
    let running =
        Running::start(["--node-name=a", "--node-name", "b", "--web.telemetry-path=/a", "--web.telemetry-path=/b"]);
    assert_eq!(running.get("/info/hostname"), (200, "b".into()));
    assert_eq!((running.get("/a").0, running.get("/b").0), (404, 200));
}

#[test]
fn the_name_is_the_flags_then_the_environments_then_the_trees() {
    let tree = Tree::new();
    let name = |environment: Option<&str>, arguments: &[&str]| {
        let mut command = command();
        command.args(["--web.listen-address=127.0.0.1:0", "--path.procfs"]).arg(tree.root()).args(arguments);
        if let Some(name) = environment {
            command.env("NODE_NAME", name);
        }
        Running::start_command(command).get("/info/hostname").1
    };
    assert_eq!(name(Some("from-environment"), &["--node-name", "from-flag"]), "from-flag");
    assert_eq!(name(Some("from-environment"), &[]), "from-environment");
    assert_eq!(name(Some(""), &[]), "worker-1");
    assert_eq!(name(None, &[]), "worker-1");
    assert_eq!(name(None, &["--node-name="]), "worker-1");
    let mut command = command();
    command.env("NODE_NAME", "a\tb");
    let output = output_of(command);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().next().is_some_and(|line| line.contains("'a\\tb' for '--node-name")), "{stderr}");
}

/// The first line of stderr of a command line that must be refused.
#[track_caller]
fn refused<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let output = output(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), b"".as_slice()), "{stderr}");
    stderr.lines().next().expect("it says nothing").to_string()
}
