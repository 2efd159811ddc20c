//! Passes the git revision and the compiler's version to the crate, for `mini_node_exporter_build_info`.
//!
//! The environment variable `MNE_REVISION` names the revision; without it git does. An image is built without git.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MNE_REVISION");
    let given = env::var("MNE_REVISION").ok().filter(|revision| is_word(revision));
    let revision = given.or_else(revision).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=MNE_REVISION={revision}");
    // `rustc 1.90.0 (…)` is cut down to `1.90.0`.
    let rustc = output(Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version"));
    let version = rustc.as_deref().and_then(|line| line.split(' ').nth(1)).filter(|version| is_word(version));
    println!("cargo::rustc-env=MNE_RUSTC={}", version.unwrap_or("unknown"));
}

fn revision() -> Option<String> {
    // Without it, git would name a repository around this one.
    if !Path::new("../.git").exists() {
        return None;
    }
    // HEAD's log grows with every commit and check-out. cargo takes a missing file for a changed one, and builds again.
    for file in ["HEAD", "logs/HEAD"] {
        let path = output(Command::new("git").args(["rev-parse", "--git-path", file]))?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    output(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}
