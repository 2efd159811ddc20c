//! The kind backend: the whole stack in a throw-away Kubernetes cluster whose nodes are containers.
//!
//! [`cluster::Cluster`] owns what is made. It runs `kind` by `kind_cli` and `kubectl` by [`kubectl`], whose answers
//! are [`objects`]; [`images`], `alerting` and `overlay` are what it deploys, [`rollout`] is the wait for it.

pub mod airgap;
mod alerting;
pub mod cluster;
mod diagnosis;
pub mod images;
mod kind_cli;
pub mod kubectl;
pub mod objects;
pub mod overlay;
pub mod privileges;
pub mod rollout;
mod trouble;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::backend::{Backend, Ports};
use crate::process::log;
use crate::run::{Found, Run};
use crate::stack::Stack;
use crate::terminal::progress::Progress;
use crate::tools::{self, Tool};

use cluster::Cluster;
use images::{Image, Override};
use kind_cli::KindCli;
use kubectl::Kubectl;

/// How the cluster and its stack are to be.
#[derive(Debug)]
pub struct Options {
    /// How many nodes, the control plane included.
    pub nodes: usize,
    /// Whether node, Prometheus and Alertmanager are images of our own making, for which no registry is needed.
    pub airgap: bool,
    /// Alertmanager's configuration, in which the lab takes the place of every receiver; none without Alertmanager.
    pub alertmanager: Option<Value>,
    /// Which of Grafana and kube-state-metrics are wanted. The nodes get an image of the latter, which is not deployed.
    pub optional: Vec<Image>,
    /// Images to use instead of ours.
    pub images: Vec<Override>,
    /// A tree that the exporters read instead of the nodes' own procfs.
    pub procfs: Option<PathBuf>,
    /// Which ports of this machine to use.
    pub ports: Ports,
    /// Whether the cluster outlives this process.
    pub keep: bool,
}

/// A stack that runs in a cluster of its own.
pub struct Kind {
    pub cluster: Cluster,
    stack: Stack,
}

impl Kind {
    /// Makes the cluster, deploys the stack, and waits until all of it runs.
    pub fn start(options: &Options, progress: &Progress) -> Result<Self> {
        let mut cluster = Cluster::prepare(options, progress)?;
        match cluster.bring_up(options, progress) {
            Ok(stack) => Ok(Self { cluster, stack }),
            Err(error) => Err(cluster.failed(&error)),
        }
    }

    /// Rolls out exporters that read another tree, and waits until all of the stack runs.
    pub fn roll_out(&mut self, procfs: Option<&Path>, progress: &Progress) -> Result<()> {
        self.cluster.deploy(procfs, progress)?;
        self.stack.procfs = self.cluster.procfs(procfs);
        Ok(())
    }
}

impl Backend for Kind {
    fn name(&self) -> &'static str {
        "kind"
    }

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn run(&self) -> &Run {
        &self.cluster.run
    }

    fn links(&self) -> Vec<(String, String)> {
        self.cluster.links(&self.stack)
    }

    fn images(&self) -> BTreeMap<&'static str, String> {
        self.cluster.images.iter().map(|(image, reference)| (image.name(), reference.clone())).collect()
    }

    fn alive(&self) -> Result<()> {
        self.cluster.alive()
    }

    fn complaints(&self) -> Vec<String> {
        let log = |part| self.cluster.kubectl.command(["logs", part, "--tail", "200"]).run();
        let logs = ["deployment/prometheus", "deployment/alertmanager"].into_iter().filter_map(|part| log(part).ok());
        let mut lines: Vec<String> = logs.flat_map(|output| log::complaints(&output.stdout)).collect();
        lines.extend(diagnosis::describe(&self.cluster.kubectl).lines().map(str::to_owned));
        lines
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        self.cluster.save_evidence()
    }

    fn stop(&self) -> Result<()> {
        self.cluster.stop()
    }
}

/// What the parts of a running or kept cluster have logged, each line with its pod's name.
pub fn logs(run: &Found) -> Result<String> {
    let kubectl = Kubectl::new(&tools::find_present(Tool::Kubectl)?.path, &run.dir.join("kubeconfig"));
    let ours = "app.kubernetes.io/name in (mini-node-exporter, prometheus, alertmanager, grafana)";
    let logs = kubectl.command(["logs", "--selector", ours, "--all-containers", "--prefix", "--tail", "500"]);
    Ok(logs.args(["--max-log-requests", "50"]).run()?.stdout)
}

/// Deletes the cluster of an abandoned run.
pub fn sweep(run: &Found) -> Result<()> {
    let found = tools::find_present(Tool::Kind).map(|kind| kind.path);
    let kind = found.or_else(|missing| airgap::kind().or(Err(missing)));
    KindCli::new(&kind.context("its cluster cannot be deleted without kind")?, &run.id, &run.dir).delete()
}

/// Whether a variable of the environment is set to something else than nothing, `0`, `no`, `off` or `false`.
pub fn is_on(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !["", "0", "no", "off", "false"].contains(&value.to_lowercase().as_str()))
}
