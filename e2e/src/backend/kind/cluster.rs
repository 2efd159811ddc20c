//! A throw-away cluster, and the one owner of all that is made for it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Error, Result, bail};
use fs_err as fs;
use serde_json::Value;

use super::alerting::Alerting;
use super::images::{self, Image, Images};
use super::kind_cli::{self, KindCli, NODE_PORTS};
use super::kubectl::Kubectl;
use super::{Options, airgap, diagnosis, overlay, rollout};
use crate::backend::Ports;
use crate::client::alertmanager::Alertmanager;
use crate::client::exporter::Exporter;
use crate::client::grafana::Grafana;
use crate::client::prometheus::Prometheus;
use crate::docker::{Docker, docker};
use crate::run::{Run, evidence};
use crate::stack::{Part, Procfs, Stack};
use crate::terminal::out::{self, Mark};
use crate::terminal::progress::{Progress, Shown};
use crate::tools::{self, Tool};
use crate::wait::interrupt::{self, Interrupted};

/// How long the nodes may take after the create, which waits for the control plane.
const READY: Duration = Duration::from_secs(90);

/// How long a roll-out may take; one in trouble ends sooner.
const ROLL_OUT: Duration = Duration::from_secs(120);

/// The cluster of a run. Dropping it deletes the cluster, unless that is to be kept.
#[derive(Debug)]
pub struct Cluster {
    pub run: Run,
    pub kubectl: Kubectl,
    pub images: Images,
    pub airgap: bool,
    /// `None` without Alertmanager, and until there are nodes.
    alerting: Option<Alerting>,
    keep: bool,
    stopped: AtomicBool,
    shown: Shown,
    docker: Docker,
    kind: KindCli,
}

impl Cluster {
    /// Finds every tool and image, before anything is made.
    pub fn prepare(options: &Options, progress: &Progress) -> Result<Self> {
        let &Options { airgap: airgapped, keep, .. } = options;
        let docker = progress.step("find Docker", |_| Docker::find("docker"))?;
        let has_own_node = images::chosen(Image::Node, &options.images).is_none();
        // The pinned node image needs a newer one than others do.
        let oldest = if has_own_node { tools::pinned_kind()? } else { Tool::Kind.minimum() };
        let find = |tool: Tool, oldest| {
            progress.step(&format!("find {}", tool.name()), |step| {
                let found = tools::find_since(tool, oldest, step)?;
                step.came_to(found.summary());
                Ok(found)
            })
        };
        // The airgap mode's own nodes come with a kind.
        let kind = (!airgapped || !has_own_node).then(|| find(Tool::Kind, oldest)).transpose()?;
        let kubectl = find(Tool::Kubectl, Tool::Kubectl.minimum())?;
        let mut wanted = vec![Image::Exporter, Image::Prometheus, Image::Node];
        wanted.extend(options.alertmanager.is_some().then_some(Image::Alertmanager));
        // There is no package of these, but an image may be named.
        let has = |image| !airgapped || images::chosen(image, &options.images).is_some();
        wanted.extend(options.optional.iter().filter(|image| has(**image)));
        let images = images::ensure(&docker, &wanted, &options.images, airgapped, progress)?;
        let kind = kind.map_or_else(airgap::kind, |found| Ok(found.path))?;
        let run = Run::create("kind")?;
        let kind = KindCli::new(&kind, run.id(), run.dir());
        let kubectl = Kubectl::new(&kubectl.path, kind.kubeconfig());
        let shown = progress.shown();
        let (alerting, stopped) = (None, AtomicBool::new(false));
        Ok(Self { run, kubectl, images, airgap: airgapped, alerting, keep, stopped, shown, docker, kind })
    }

    /// Makes the cluster, deploys the stack, and waits until all of it runs.
    pub fn bring_up(&mut self, options: &Options, progress: &Progress) -> Result<Stack> {
        let nodes = self.make(options, progress)?;
        let log = self.run.dir().join("pages.log");
        let alerting = |config: &Value| Alerting::start(config.clone(), &self.kind.control_plane(), log);
        self.alerting = options.alertmanager.as_ref().map(alerting);
        self.deploy(options.procfs.as_deref(), progress)?;
        let stack = self.stack(options, nodes)?;
        self.run.record("kind", self.links(&stack))?;
        if self.keep {
            self.run.keep()?;
        }
        Ok(stack)
    }

    /// Makes the cluster; returns the names of its nodes.
    fn make(&self, options: &Options, progress: &Progress) -> Result<BTreeSet<String>> {
        let configuration = kind_cli::configuration(options.nodes, self.airgap, ports(options.ports, progress))?;
        let nodes = out::count(options.nodes, "node", "nodes");
        progress.step(&format!("create a cluster of {nodes}"), |_| {
            self.kind.create(&self.images[&Image::Node], &configuration)
        })?;
        let inside = self.images.iter().filter(|(image, _)| **image != Image::Node);
        let inside: Vec<&str> = inside.map(|(_, reference)| reference.as_str()).collect();
        self.load(&inside, progress)?;
        progress.step("await the nodes", |_| rollout::await_nodes(&self.kubectl, options.nodes, READY))
    }

    /// Gives every node these images of the engine.
    pub fn load(&self, references: &[&str], progress: &Progress) -> Result<()> {
        let archive = self.run.dir().join("images.tar");
        progress.step("save the images", |_| self.docker.save(references, &archive))?;
        progress.step("load the images into every node", |_| self.kind.load(&archive))?;
        Ok(fs::remove_file(&archive)?)
    }

    /// Deploys the stack, whose exporters read from `procfs`, and waits for the roll-out.
    pub fn deploy(&self, procfs: Option<&Path>, progress: &Progress) -> Result<()> {
        let alertmanager = self.alerting.as_ref().map(|alerting| &alerting.config);
        let dir = overlay::write(self.run.dir(), &self.images, alertmanager, procfs)?;
        progress.step("apply the manifests", |_| Ok(self.kubectl.apply(&dir)?))?;
        progress.step("await the roll-outs", |_| rollout::await_workloads(&self.kubectl, ROLL_OUT))
    }

    fn stack(&self, options: &Options, nodes: BTreeSet<String>) -> Result<Stack> {
        let at = |port: u16| {
            let address = self.docker.published(&self.kind.control_plane(), port)?;
            Ok::<_, Error>(format!("http://{address}"))
        };
        let [exporter, prometheus, grafana, alertmanager] = NODE_PORTS;
        let grafana = match options.optional.contains(&Image::Grafana) {
            true if self.images.contains_key(&Image::Grafana) => Part::Here(Grafana::new(at(grafana)?)),
            true => {
                Part::Missing("the airgap mode has no Grafana: use an image of it with `--image grafana=REF`".into())
            }
            false => Part::Omitted,
        };
        let alertmanager = match &self.alerting {
            Some(alerting) => Part::Here(Some(Alertmanager::new(at(alertmanager)?, alerting.delivery.clone()))),
            None => Part::Omitted,
        };
        let (exporter, prometheus) = (Exporter::new(at(exporter)?), Prometheus::new(at(prometheus)?));
        let procfs = self.procfs(options.procfs.as_deref());
        Ok(Stack { alertmanager, ..Stack::own(nodes, vec![exporter], prometheus, grafana, procfs) })
    }

    /// What the exporters read. The nodes share one kernel: any of them shows what all see.
    pub fn procfs(&self, fixture: Option<&Path>) -> Procfs {
        let live = || Procfs::LiveInContainer(self.kind.control_plane());
        fixture.map_or_else(live, |root| Procfs::Fixture(root.to_owned()))
    }

    /// Fails once the control plane has stopped. What is down in the cluster is for the checks to report.
    pub fn alive(&self) -> Result<()> {
        let control_plane = self.kind.control_plane();
        match docker(["inspect", "--format", "{{.State.Status}}", &control_plane]).read().as_deref() {
            Ok("running") => Ok(()),
            Ok(other) => bail!("the cluster ended: its control plane {control_plane} is {other}"),
            Err(error) => bail!("the cluster ended: {}", error.reason()),
        }
    }

    pub fn links(&self, stack: &Stack) -> Vec<(String, String)> {
        let mut links = stack.links();
        links.push(("kubeconfig".into(), format!("export KUBECONFIG={}", self.kind.kubeconfig().display())));
        links
    }

    /// Appends a diagnosis of a namespace to the logs of the run. Once the namespace is deleted, its logs and events are gone.
    pub fn save_diagnosis(&self, kubectl: &Kubectl) -> Result<()> {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.run.dir().join("diagnosis.log"))?;
        Ok(writeln!(file, "{}", diagnosis::describe(kubectl))?)
    }

    /// Saves the logs of nodes and pods, the events, and what the cluster was made of.
    pub fn save_evidence(&self) -> Result<PathBuf> {
        let folder = evidence::save(&self.run)?;
        // One that fails does not keep the others from being saved.
        let _ = self.kind.export_logs(&folder.join("nodes"));
        for (file, words) in
            [("pods.txt", ["describe", "pods"]), ("events.txt", ["get", "events"]), ("objects.txt", ["get", "all"])]
        {
            let asked = self.kubectl.command(words).shielded().run();
            let text = asked.map_or_else(|error| error.to_string(), |output| output.stdout);
            fs::write(folder.join(file), text)?;
        }
        Ok(folder)
    }

    /// Deletes the cluster, once. One that is to be kept, or cannot be deleted, stays for `lab down`; the latter is an error.
    pub fn stop(&self) -> Result<()> {
        if self.stopped.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let progress = Progress::showing(self.shown);
        let mut deleted = Ok(());
        if !self.keep {
            deleted = progress.step("delete the cluster", |_| self.kind.delete());
            if deleted.is_ok() {
                return Ok(());
            }
        }
        match self.run.keep() {
            Ok(()) => {
                progress.say(Mark::Note, &format!("kept the cluster; remove it with `lab down {}`", self.run.id()));
            }
            Err(error) => progress
                .say(Mark::Warn, &format!("cannot mark the cluster as kept; the next run deletes it: {error:#}")),
        }
        deleted
    }

    /// The failure of a start, with the place of its evidence. An interrupt leaves none.
    pub fn failed(&self, error: &Error) -> Error {
        if interrupt::seen() {
            return Interrupted.into();
        }
        evidence::below(error, "the cluster did not come up", self.save_evidence())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            Progress::showing(self.shown).say(Mark::Warn, &format!("{error:#}"));
        }
    }
}

/// The usual ports where they are wanted and free, any others elsewhere. Docker binds them late in the create, where a
/// port that is taken would cost the whole of it.
fn ports(wanted: Ports, progress: &Progress) -> [u16; 4] {
    NODE_PORTS.map(|port| match wanted {
        Ports::Any => 0,
        Ports::Usual if TcpListener::bind(("127.0.0.1", port)).is_ok() => port,
        Ports::Usual => {
            progress.say(Mark::Note, &format!("port {port} is in use; using another"));
            0
        }
    })
}
