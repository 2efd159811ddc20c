//! The kind backend: the whole stack in a throw-away Kubernetes cluster whose nodes are containers.

pub mod airgap;
pub mod cluster;
mod diagnosis;
pub mod images;
pub mod kubectl;
mod overlay;
pub mod rollout;
pub mod shim;
mod site;
mod trouble;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::backend::Backend;
use crate::backend::Ports;
use crate::process::log;
use crate::run::{Found, Run};
use crate::stack::Stack;
use crate::terminal::progress::Progress;
use crate::tools::{self, Tool};
use crate::wait::interrupt::{self, Interrupted};

use crate::docker::docker;
use cluster::Cluster;
use images::{Image, Override};
use kubectl::Kubectl;
use site::Site;

/// How the cluster and its stack are to be.
#[derive(Debug)]
pub struct Options {
    /// How many nodes, the control plane included.
    pub nodes: usize,
    /// Whether node and Prometheus are images made of Debian packages.
    pub airgap: bool,
    /// Whether Grafana is wanted.
    pub grafana: bool,
    /// Images put in the place of ours.
    pub images: Vec<Override>,
    /// A tree that the exporters read instead of the nodes' own procfs.
    pub procfs: Option<PathBuf>,
    /// Which ports of this machine to use.
    pub ports: Ports,
    /// Whether the cluster outlives this process.
    pub keep: bool,
}

/// A stack in a cluster of its own. Dropping it deletes the cluster, unless it is kept.
#[must_use]
pub struct Kind {
    stack: Stack,
    site: Site,
    keep: bool,
}

impl Kind {
    /// Makes the cluster, deploys the stack, and waits until all of it runs.
    pub fn start(options: &Options, progress: &Progress) -> Result<Self> {
        let site = Site::prepare(options, progress)?;
        match site.build(options, progress) {
            Ok(stack) => {
                if options.keep {
                    site.run.keep()?;
                }
                Ok(Self { stack, site, keep: options.keep })
            }
            Err(error) => {
                // What an interrupt cut short has nothing to tell.
                let error =
                    if interrupt::seen() { Interrupted.into() } else { error.context(told(site.save_evidence())) };
                site.remove(options.keep, progress);
                Err(error)
            }
        }
    }

    /// `kubectl` for this cluster.
    pub fn kubectl(&self) -> &Kubectl {
        &self.site.kubectl
    }

    /// Whether node and Prometheus are images made of Debian packages.
    pub fn airgap(&self) -> bool {
        self.site.airgap
    }

    /// The reference of an image that the cluster got.
    pub fn image(&self, image: Image) -> Option<&str> {
        self.site.images.get(&image).map(String::as_str)
    }

    /// Deploys the stack again, reading from another tree, and waits for the roll-out.
    pub fn redeploy(&mut self, procfs: Option<&Path>, progress: &Progress) -> Result<()> {
        self.site.deploy(procfs, progress)?;
        self.stack.procfs = self.site.procfs(procfs);
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
        &self.site.run
    }

    fn links(&self) -> Vec<(String, String)> {
        self.site.links(&self.stack)
    }

    fn alive(&self) -> Result<()> {
        // A cluster heals itself, so what is down in it is for the checks to see; only its end is final.
        let control_plane = self.site.cluster.control_plane();
        let state = docker(["inspect", "--format", "{{.State.Status}}", &control_plane]).read();
        match state.as_deref() {
            Ok("running") => Ok(()),
            Ok(other) => bail!("the cluster ended: its control plane {control_plane} is {other}"),
            Err(error) => bail!("the cluster ended: {}", error.last_line()),
        }
    }

    fn complaints(&self) -> Vec<String> {
        let log = self.kubectl().command(["logs", "deployment/prometheus", "--tail", "200"]).run();
        let text = log.map(|output| output.stdout).unwrap_or_default();
        let mut lines = log::complaints(&text);
        lines.extend(diagnosis::describe(self.kubectl()).lines().map(str::to_owned));
        lines
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        self.site.save_evidence()
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        self.site.remove(self.keep, &Progress::default());
    }
}

fn told(saved: Result<PathBuf>) -> String {
    match saved {
        Ok(folder) => format!("the cluster did not come up; its logs are in {}", folder.display()),
        Err(error) => format!("the cluster did not come up, and its logs were not saved ({error:#})"),
    }
}

/// What the parts of a running or kept cluster have logged, each line with its pod's name.
pub fn logs(run: &Found) -> Result<String> {
    let kubectl = Kubectl::new(&tools::find_present(Tool::Kubectl)?.path, &run.dir.join("kubeconfig"));
    let ours = "app.kubernetes.io/name in (mini-node-exporter, prometheus, grafana)";
    let logs = kubectl.command(["logs", "--selector", ours, "--all-containers", "--prefix", "--tail", "500"]);
    Ok(logs.args(["--max-log-requests", "50"]).run()?.stdout)
}

/// Deletes what a run that nobody holds any more left in Docker.
pub fn sweep(run: &Found) -> Result<()> {
    let kind = tools::find_present(Tool::Kind).context("its cluster cannot be deleted without kind")?;
    Cluster::at(&run.id, &run.dir, &kind.path)?.delete()
}

/// Whether a variable of the environment switches something on: it is set, and to more than nothing or a no.
pub fn is_on(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !["", "0", "no", "off", "false"].contains(&value.to_lowercase().as_str()))
}
