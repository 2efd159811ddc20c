//! `kubectl` for one cluster, which never reads or writes the user's own configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::objects::Objects;
use crate::process::command::{Cmd, CommandError};

/// The namespace that everything of ours lives in.
pub const NAMESPACE: &str = "mini-node-exporter";

/// `kubectl` with the cluster's own kubeconfig, for one namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Kubectl {
    pub fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_owned(), kubeconfig: kubeconfig.to_owned(), namespace: NAMESPACE.to_owned() }
    }

    /// The same for another namespace than [`NAMESPACE`].
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self.clone() }
    }

    /// A command in the namespace, with a deadline of 30 s.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Cmd {
        Cmd::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            // In the user's home it would answer for the next cluster on the same port.
            .arg("--cache-dir")
            .arg(self.kubeconfig.with_file_name("kubectl-cache"))
            .args(["--namespace", &self.namespace, "--request-timeout", "20s"])
            .args(args)
    }

    /// Applies the kustomization in a directory.
    pub fn apply(&self, dir: &Path) -> Result<(), CommandError> {
        self.command(["apply", "--kustomize"]).arg(dir).limit(Duration::from_secs(60)).run().map(drop)
    }

    /// The objects of some kinds, be it by a selector; not one by its name, which is no list.
    pub fn get<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Objects> {
        let text = self.command(["get", "--output", "json"]).args(args).run()?.stdout;
        serde_json::from_str(&text).context("kubectl get")
    }

    /// Returns the last log lines of a pod's containers, of those that crashed if any did.
    pub fn last_log(&self, pod: &str) -> String {
        let log = |extra: &[&'static str]| {
            let args = ["logs", pod, "--all-containers", "--tail", "8"].into_iter().chain(extra.iter().copied());
            self.command(args).shielded().run().ok().map(|output| output.stdout).filter(|text| !text.trim().is_empty())
        };
        log(&["--previous"]).or_else(|| log(&[])).unwrap_or_default()
    }
}
