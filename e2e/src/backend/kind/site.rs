//! The site: the tools, the images and the run that a cluster and its stack are made with, and what is done with them.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::cluster::{Cluster, NODE_PORTS, Shape};
use super::images::{self, Image, Images};
use super::kubectl::Kubectl;
use super::{Options, overlay, rollout};
use crate::backend::Ports;
use crate::client::exporter::Exporter;
use crate::client::grafana::Grafana;
use crate::client::prometheus::Prometheus;
use crate::docker::Docker;
use crate::run::Run;
use crate::run::evidence;
use crate::stack::{Part, Procfs, Stack};
use crate::terminal::out::Mark;
use crate::terminal::progress::Progress;
use crate::tools::pins;
use crate::tools::{self, Tool, Version};

/// How long the nodes may take, which a create that succeeded leaves little to do.
const READY: Duration = Duration::from_secs(90);

/// How long a roll-out may take; one in trouble ends sooner.
const ROLL_OUT: Duration = Duration::from_secs(120);

/// What a cluster is made with. It owns the run, and removes nothing by itself.
pub(super) struct Site {
    docker: Docker,
    pub cluster: Cluster,
    pub kubectl: Kubectl,
    pub images: Images,
    pub airgap: bool,
    pub run: Run,
}

impl Site {
    /// Finds every tool and image before anything is made.
    pub fn prepare(options: &Options, progress: &Progress) -> Result<Self> {
        let docker = progress.step("find Docker", |_| Docker::find())?;
        let kind = progress.step("find kind", |step| tools::find(Tool::Kind, None, step))?;
        let kubectl = progress.step("find kubectl", |step| tools::find(Tool::Kubectl, None, step))?;
        let mut wanted = vec![Image::Exporter, Image::Prometheus, Image::Node];
        wanted.extend((options.grafana && !options.airgap).then_some(Image::Grafana));
        let images = images::ensure(&docker, &wanted, &options.images, options.airgap, progress)?;
        let oldest = Version(pins::KIND.0, pins::KIND.1, 0);
        if images.get(&Image::Node).is_some_and(|image| image == pins::KIND_NODE)
            && let Some(version) = kind.version.filter(|version| *version < oldest)
        {
            progress.say(
                Mark::Warn,
                &format!("the pinned node image is for kind {oldest} or newer, and this is {version}"),
            );
        }
        let run = Run::create("kind")?;
        let cluster = Cluster::of(&run, &kind.path)?;
        let kubectl = Kubectl::new(&kubectl.path, cluster.kubeconfig());
        Ok(Self { docker, cluster, kubectl, images, airgap: options.airgap, run })
    }

    /// Makes the cluster, deploys the stack, and waits until all of it runs.
    pub fn build(&self, options: &Options, progress: &Progress) -> Result<Stack> {
        let nodes = self.make(options, progress)?;
        self.deploy(options.procfs.as_deref(), progress)?;
        let stack = self.stack(options, nodes)?;
        self.run.record("kind", self.links(&stack))?;
        Ok(stack)
    }

    /// Makes the cluster, and gives the names of its nodes.
    fn make(&self, options: &Options, progress: &Progress) -> Result<BTreeSet<String>> {
        let image = self.images.get(&Image::Node).context("no node image")?;
        let ports = ports(options.ports, progress);
        let shape = Shape { image, nodes: options.nodes, airgap: options.airgap, ports };
        progress.step(&format!("create a cluster of {} nodes", options.nodes), |_| {
            self.cluster.create(shape, self.run.dir())
        })?;
        let archive = self.run.dir().join("images.tar");
        let inside = self.images.iter().filter(|(image, _)| **image != Image::Node);
        let inside: Vec<&str> = inside.map(|(_, reference)| reference.as_str()).collect();
        progress.step("save the images", |_| self.docker.save(&inside, &archive))?;
        progress.step("load the images into every node", |_| self.cluster.load(&archive))?;
        fs::remove_file(&archive)?;
        let nodes = progress.step("await the nodes", |_| rollout::await_nodes(&self.kubectl, options.nodes, READY))?;
        Ok(nodes.into_iter().collect())
    }

    /// Deploys the stack, whose exporters read from `procfs`, and waits for the roll-out.
    pub fn deploy(&self, procfs: Option<&Path>, progress: &Progress) -> Result<()> {
        let overlay = if self.airgap { "airgap" } else { "kind" };
        let dir = overlay::write(self.run.dir(), overlay, &self.images, procfs)?;
        progress.step("apply the manifests", |_| Ok(self.kubectl.apply(&dir)?))?;
        progress.step("await the roll-outs", |_| rollout::await_workloads(&self.kubectl, ROLL_OUT))
    }

    fn stack(&self, options: &Options, nodes: BTreeSet<String>) -> Result<Stack> {
        let at = |port: u16| {
            let address = self.docker.published(&self.cluster.control_plane(), port)?;
            Ok::<_, anyhow::Error>(format!("http://{address}"))
        };
        let [exporter, prometheus, grafana] = NODE_PORTS;
        Ok(Stack::own(
            nodes,
            Exporter::new(at(exporter)?),
            Prometheus::new(at(prometheus)?),
            match (options.grafana, options.airgap) {
                (false, _) => Part::LeftOut,
                (true, true) => Part::Missing("the airgap mode has no Grafana: Debian packages none".into()),
                (true, false) => Part::Here(Grafana::new(at(grafana)?)),
            },
            self.procfs(options.procfs.as_deref()),
        ))
    }

    /// What the exporters read. The nodes share one kernel: any of them shows what all see.
    pub fn procfs(&self, fixture: Option<&Path>) -> Procfs {
        let live = || Procfs::LiveInContainer(self.cluster.control_plane());
        fixture.map_or_else(live, |root| Procfs::Fixture(root.to_owned()))
    }

    pub fn links(&self, stack: &Stack) -> Vec<(String, String)> {
        let mut links = stack.links();
        links.push(("kubeconfig".into(), format!("export KUBECONFIG={}", self.cluster.kubeconfig().display())));
        links
    }

    /// Saves the logs of nodes and pods, the events, and what the cluster was made of.
    pub fn save_evidence(&self) -> Result<PathBuf> {
        let folder = evidence::save(&self.run)?;
        // Each on its own: what can be had is saved, whatever else cannot.
        let _ = self.cluster.export_logs(&folder.join("nodes"));
        for (file, words) in
            [("pods.txt", ["describe", "pods"]), ("events.txt", ["get", "events"]), ("objects.txt", ["get", "all"])]
        {
            let asked = self.kubectl.command(words).shielded().run();
            let text = asked.map_or_else(|error| error.to_string(), |output| output.stdout);
            fs::write(folder.join(file), text).with_context(|| format!("{file} of {}", folder.display()))?;
        }
        Ok(folder)
    }

    /// Deletes the cluster, or leaves it for `lab down`: where that is wanted, and where it cannot be deleted.
    pub fn remove(&self, keep: bool, progress: &Progress) {
        let deleted = keep || {
            let deleted = progress.step("delete the cluster", |_| self.cluster.delete());
            deleted.inspect_err(|error| progress.line(&format!("warn {error:#}"))).is_ok()
        };
        if keep || !deleted {
            match self.run.keep() {
                Ok(()) => progress.line(&format!("     the cluster stays: `lab down {}` removes it", self.run.id())),
                Err(error) => progress.line(&format!("warn the cluster stays, and the next run removes it: {error:#}")),
            }
        }
    }
}

/// The usual ports where they are wanted and free, any others elsewhere. Docker binds them late in the create, where a
/// port that is taken would cost the whole of it.
fn ports(wanted: Ports, progress: &Progress) -> [u16; 3] {
    NODE_PORTS.map(|port| {
        if wanted == Ports::Any {
            return 0;
        }
        let free = TcpListener::bind(("127.0.0.1", port)).is_ok();
        if !free {
            progress.line(&format!("     port {port} is taken, another is chosen"));
        }
        if free { port } else { 0 }
    })
}
