//! The exporter's binary, built from this checkout.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{expect_checkout, root};
use crate::process::command::Cmd;
use crate::terminal::progress::Step;

/// The package, which is also the binary's name.
const PACKAGE: &str = "mini-node-exporter";

/// The exporter's binary: the one named, or this workspace's, built now.
pub fn binary(named: Option<&Path>, step: &Step) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let root = expect_checkout("the exporter, unless `--exporter FILE` names one,")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // With the harness beside it, its crates get the same features, and are not compiled a second time.
    let built = outside_cargo(Cmd::new(cargo))
        .args(["build", "--locked", "-p", PACKAGE, "-p", "e2e", "--bin", PACKAGE])
        .arg("--message-format=json-render-diagnostics")
        .dir(root)
        .limit(Duration::from_secs(900))
        .run_with_progress(|line| step.note(line))?;
    executable(&built.stdout).with_context(|| format!("cargo built no binary `{PACKAGE}`"))
}

/// The binary that is shipped: static, small, at `dist/mini-node-exporter`. What `just dist` builds.
pub fn static_binary(step: &Step) -> Result<PathBuf> {
    let script = root().join("scripts/dist");
    outside_cargo(Cmd::new(script)).limit(Duration::from_secs(1800)).run_with_progress(|line| step.note(line))?;
    Ok(root().join("dist").join(PACKAGE))
}

/// Removes the variables with which cargo describes the package of the program that it runs. Build scripts read them, as
/// ring's does: with them here and without them in the shell, each `cargo lab` would build half the crates anew, twice.
fn outside_cargo(command: Cmd) -> Cmd {
    command.without_env("CARGO_MANIFEST_").without_env("CARGO_PKG_")
}

/// The path in cargo's messages, one JSON document a line.
fn executable(messages: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        target: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| message.target.as_ref().is_some_and(|target| target.name == PACKAGE))
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_cargo_does_not_see_this_package() {
        let environment = outside_cargo(Cmd::new("env").env("CARGO_INCREMENTAL", "0")).read().unwrap();
        assert!(environment.contains("CARGO_INCREMENTAL=0") && std::env::var_os("CARGO_PKG_NAME").is_some());
        assert!(!environment.contains("CARGO_PKG_NAME=") && !environment.contains("CARGO_MANIFEST_DIR="));
    }

    #[test]
    fn the_binary_is_found_among_cargo_s_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"mini_node_exporter"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"mini-node-exporter"},"executable":"/t/debug/mini-node-exporter"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages).as_deref(), Some(Path::new("/t/debug/mini-node-exporter")));
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
