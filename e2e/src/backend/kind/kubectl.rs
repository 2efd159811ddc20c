//! A typed handle on `kubectl` for one cluster: never the user's own configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::command::{Cmd, CommandError};

/// The namespace that everything of ours lives in.
pub const NAMESPACE: &str = "mini-node-exporter";

/// `kubectl` with the cluster's own kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// A handle; nothing is run yet.
    pub fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_owned(), kubeconfig: kubeconfig.to_owned() }
    }

    /// A command in our namespace, with a deadline of 30 s.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Cmd {
        Cmd::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            // Elsewhere it would lie in the user's home, and answer for the next cluster on the same port.
            .arg("--cache-dir")
            .arg(self.kubeconfig.with_file_name("kubectl-cache"))
            .args(["--namespace", NAMESPACE, "--request-timeout", "20s"])
            .args(args)
    }

    /// Applies the kustomization in a directory.
    pub fn apply(&self, dir: &Path) -> Result<(), CommandError> {
        self.command(["apply", "--kustomize"]).arg(dir).limit(Duration::from_secs(60)).run().map(drop)
    }

    /// Objects as JSON: the `items` of `kubectl get`.
    pub fn get<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Vec<Value>> {
        let text = self.command(["get", "--output", "json"]).args(args).run()?.stdout;
        let mut list: Value = serde_json::from_str(&text).context("kubectl get")?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(vec![list]),
        }
    }

    /// The last log lines of a pod's containers: of the one that crashed before, where there was one.
    pub fn last_log(&self, pod: &str) -> String {
        let log = |extra: &[&'static str]| {
            let args = ["logs", pod, "--all-containers", "--tail", "8"].into_iter().chain(extra.iter().copied());
            self.command(args).shielded().run().ok().map(|output| output.stdout).filter(|text| !text.trim().is_empty())
        };
        log(&["--previous"]).or_else(|| log(&[])).unwrap_or_default()
    }
}

/// An object's name.
pub fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}
