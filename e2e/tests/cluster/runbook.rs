//! The commands of `docs/runbook.md`, as they stand there.

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::Kind;
use e2e::process::command::Cmd;
use e2e::tools::{self, Tool};

#[path = "../support/runbook.rs"]
mod support;

/// What in a block keeps it from being run here, and why. The manifests tier checks these too.
const NOT_RUN: [(&str, &str); 11] = [
    ("rollout undo", "it would change the stack that other trials share"),
    ("kubectl drain", "it would evict what other trials need"),
    ("top pod", "needs metrics-server"),
    ("get prometheuses", "needs prometheus-operator's resources"),
    ("get secret", "needs the Secrets of the component tls"),
    ("scripts/certificates", "needs the Secrets of the component tls"),
    ("23334", "needs the component tls"),
    ("debug node/", "needs an image of a registry, and a terminal"),
    ("node-debugger-", "there is none to delete"),
    ("journalctl", "needs a previous boot"),
    ("ps -eo", "needs a shell on the node"),
];

pub fn every_command_of_the_runbook_runs(kind: &Kind) -> Result<()> {
    let kubectl = tools::find_present(Tool::Kubectl)?.path;
    let programs = kubectl.parent().context("kubectl is in no directory")?.display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH")?);
    let node = kind.stack().names().last().context("no node")?;
    let runbook = support::read();
    let variables = runbook.variables.replace(support::NODE, node);
    let mut ran = 0;
    for block in &runbook.blocks {
        if NOT_RUN.iter().any(|(needle, _)| block.contains(needle)) {
            continue;
        }
        let script = format!("set -euo pipefail\n{variables}test -n \"$POD\"\n{block}");
        let run = Cmd::new("bash").args(["-c", &script]).env("PATH", &path);
        run.env("KUBECONFIG", kind.run().dir().join("kubeconfig")).run().with_context(|| block.clone())?;
        ran += 1;
    }
    let unused = NOT_RUN.iter().find(|(needle, _)| !runbook.blocks.iter().any(|block| block.contains(needle)));
    ensure!(unused.is_none(), "no block has `{unused:?}`");
    ensure!(ran >= 10, "only {ran} blocks were run");
    Ok(())
}
