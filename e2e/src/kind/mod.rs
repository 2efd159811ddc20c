//! The kind backend: the whole stack in a throw-away Kubernetes cluster whose nodes are containers.

pub mod airgap;
pub mod cluster;
pub mod docker;
pub mod images;
pub mod kubectl;
mod overlay;
pub mod rollout;
pub mod shim;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::exporter::Exporter;
use crate::local::Ports;
use crate::progress::Progress;
use crate::prometheus::Prometheus;
use crate::run::{Found, Run};
use crate::stack::{Backend, Grafana, Procfs, Stack};
use crate::tools::{self, Tool};
use crate::{evidence, interrupt, stack};

use cluster::{Cluster, NODE_PORTS, Shape};
use docker::Docker;
use images::{Image, Images, Override};
use kubectl::Kubectl;

/// How long a roll-out may take; a hopeless one ends sooner.
const ROLL_OUT: Duration = Duration::from_secs(120);

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
    cluster: Cluster,
    kubectl: Kubectl,
    images: Images,
    overlay: &'static str,
    keep: bool,
    run: Run,
}

impl Kind {
    /// Makes the cluster, deploys the stack, and waits until all of it runs.
    ///
    /// # Errors
    ///
    /// Which step failed and why; evidence is saved before anything is deleted.
    pub fn start(options: &Options, progress: &Progress) -> Result<Self> {
        let docker = progress.step("find Docker", |_| Docker::find())?;
        let kind = progress.step("find kind", |step| tools::find(Tool::Kind, None, step))?;
        let kubectl = progress.step("find kubectl", |step| tools::find(Tool::Kubectl, None, step))?;
        let grafana = options.grafana && !options.airgap;
        let mut wanted = vec![Image::Exporter, Image::Prometheus, Image::Node];
        wanted.extend(grafana.then_some(Image::Grafana));
        let images = images::ensure(&docker, &wanted, &options.images, options.airgap, progress)?;
        let run = Run::create("kind")?;
        let cluster = Cluster::of(&run, &kind.path)?;
        let kubectl = Kubectl::new(&kubectl.path, cluster.kubeconfig());
        let overlay = if options.airgap { "airgap" } else { "kind" };
        let made = make(options, progress, &docker, &cluster, &kubectl, &images, &run)
            .and_then(|nodes| {
                deploy(progress, &kubectl, &run, overlay, &images, options.procfs.as_deref(), nodes.len())?;
                endpoints(options, &docker, &cluster, nodes)
            })
            .and_then(|stack| {
                run.record("kind", links(&stack, &cluster))?;
                Ok(stack)
            });
        match made {
            Ok(stack) => {
                if options.keep {
                    run.keep()?;
                }
                Ok(Self { stack, cluster, kubectl, images, overlay, keep: options.keep, run })
            }
            Err(error) => {
                let error = if interrupt::seen() {
                    error
                } else {
                    error.context(told(save(&run, &cluster, &kubectl), "the cluster did not come up"))
                };
                remove(&cluster, options.keep, &run, progress)?;
                Err(error)
            }
        }
    }

    /// `kubectl` for this cluster.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Whether node and Prometheus are images made of Debian packages.
    #[must_use]
    pub fn airgap(&self) -> bool {
        self.overlay == "airgap"
    }

    /// The reference of an image that the cluster got.
    #[must_use]
    pub fn image(&self, image: Image) -> Option<&str> {
        self.images.get(&image).map(String::as_str)
    }

    /// Deploys the stack again, reading from another tree, and waits for the roll-out.
    ///
    /// # Errors
    ///
    /// As [`Kind::start`].
    pub fn redeploy(&mut self, procfs: Option<&Path>, progress: &Progress) -> Result<()> {
        let nodes = self.stack.nodes.len();
        deploy(progress, &self.kubectl, &self.run, self.overlay, &self.images, procfs, nodes)?;
        self.stack.procfs = read_from(procfs, &self.cluster);
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
        &self.run
    }

    fn links(&self) -> Vec<(String, String)> {
        links(&self.stack, &self.cluster)
    }

    fn alive(&self) -> Result<()> {
        // A cluster heals itself: what is down for good is for the checks to see.
        Ok(())
    }

    fn complaints(&self) -> Vec<String> {
        let log = self.kubectl.command(["logs", "deployment/prometheus", "--tail", "200"]).run();
        let text = log.map(|output| output.stdout).unwrap_or_default();
        let mut lines = stack::complaints(&text);
        lines.extend(rollout::describe(&self.kubectl).lines().map(str::to_owned));
        lines
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        save(&self.run, &self.cluster, &self.kubectl)
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.cluster, self.keep, &self.run, &Progress::default()) {
            crate::out::aside(&format!("warn {error:#}"));
        }
    }
}

fn make(
    options: &Options,
    progress: &Progress,
    docker: &Docker,
    cluster: &Cluster,
    kubectl: &Kubectl,
    images: &Images,
    run: &Run,
) -> Result<BTreeSet<String>> {
    let image = images.get(&Image::Node).context("no node image")?;
    let shape = Shape { image, nodes: options.nodes, airgap: options.airgap, ports: ports(options.ports, progress) };
    progress.step(&format!("create a cluster of {} nodes", options.nodes), |_| cluster.create(shape, run.dir()))?;
    let archive = run.dir().join("images.tar");
    let inside: Vec<&str> =
        images.iter().filter(|(image, _)| **image != Image::Node).map(|(_, reference)| reference.as_str()).collect();
    progress.step("save the images", |_| docker.save(&inside, &archive))?;
    progress.step("load the images into every node", |_| cluster.load(&archive))?;
    fs::remove_file(&archive)?;
    let nodes =
        progress.step("await the nodes", |_| rollout::await_nodes(kubectl, options.nodes, Duration::from_secs(90)))?;
    Ok(nodes.into_iter().collect())
}

fn deploy(
    progress: &Progress,
    kubectl: &Kubectl,
    run: &Run,
    overlay: &str,
    images: &Images,
    procfs: Option<&Path>,
    nodes: usize,
) -> Result<()> {
    let dir = overlay::write(run.dir(), overlay, images, procfs)?;
    progress.step("apply the manifests", |_| Ok(kubectl.apply(&dir)?))?;
    progress.step("await the roll-outs", |_| rollout::await_workloads(kubectl, nodes, ROLL_OUT))
}

fn endpoints(options: &Options, docker: &Docker, cluster: &Cluster, nodes: BTreeSet<String>) -> Result<Stack> {
    let at =
        |port: u16| Ok::<_, anyhow::Error>(format!("http://{}", docker.published(&cluster.control_plane(), port)?));
    let [exporter, prometheus, grafana] = NODE_PORTS;
    Ok(Stack {
        nodes,
        exporter: Exporter::new(at(exporter)?),
        prometheus: Prometheus::new(at(prometheus)?),
        grafana: match (options.grafana, options.airgap) {
            (false, _) => Grafana::LeftOut,
            (true, true) => Grafana::Missing("the airgap mode has no Grafana: Debian packages none".into()),
            (true, false) => Grafana::Here(at(grafana)?),
        },
        procfs: read_from(options.procfs.as_deref(), cluster),
    })
}

fn read_from(procfs: Option<&Path>, cluster: &Cluster) -> Procfs {
    // The nodes share one kernel: any of them shows what all exporters read.
    procfs.map_or_else(|| Procfs::LiveInContainer(cluster.control_plane()), |root| Procfs::Fixture(root.to_owned()))
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

fn links(stack: &Stack, cluster: &Cluster) -> Vec<(String, String)> {
    let mut links = stack.links();
    links.push(("kubeconfig".into(), format!("export KUBECONFIG={}", cluster.kubeconfig().display())));
    links
}

fn save(run: &Run, cluster: &Cluster, kubectl: &Kubectl) -> Result<PathBuf> {
    let folder = evidence::save(run)?;
    // Each on its own: what can be had is saved, whatever else cannot.
    let _ = cluster.export_logs(&folder.join("nodes"));
    for (file, words) in
        [("pods.txt", ["describe", "pods"]), ("events.txt", ["get", "events"]), ("objects.txt", ["get", "all"])]
    {
        let text =
            kubectl.command(words).shielded().run().map_or_else(|error| error.to_string(), |output| output.stdout);
        fs::write(folder.join(file), text)?;
    }
    Ok(folder)
}

fn told(saved: Result<PathBuf>, what: &str) -> String {
    match saved {
        Ok(folder) => format!("{what}; its logs are in {}", folder.display()),
        Err(error) => format!("{what}, and its logs were not saved ({error:#})"),
    }
}

fn remove(cluster: &Cluster, keep: bool, run: &Run, progress: &Progress) -> Result<()> {
    if keep {
        run.keep()?;
        progress.line(&format!("     the cluster stays: `lab down {}` removes it", run.id()));
        return Ok(());
    }
    progress.step("delete the cluster", |_| cluster.delete())
}

/// What the parts of a running or kept cluster have logged, each line with its pod's name.
///
/// # Errors
///
/// The cluster does not answer.
pub fn logs(run: &Found) -> Result<String> {
    let kubectl = Kubectl::new(&tools::find_present(Tool::Kubectl)?.path, &run.dir.join("kubeconfig"));
    let ours = "app.kubernetes.io/name in (mini-node-exporter, prometheus, grafana)";
    let logs = kubectl.command(["logs", "--selector", ours, "--all-containers", "--prefix", "--tail", "500"]);
    Ok(logs.args(["--max-log-requests", "50"]).run()?.stdout)
}

/// Deletes what a run that nobody holds any more left in Docker.
///
/// # Errors
///
/// `kind` is gone, or fails.
pub fn sweep(run: &Found) -> Result<()> {
    let kind = tools::find_present(Tool::Kind).context("its cluster cannot be deleted without kind")?;
    Cluster::at(&run.id, &run.dir, &kind.path)?.delete()
}
