//! A stack that runs already, and that somebody else answers for: nothing is started or changed in it. Prometheus and
//! Grafana are asked where they are; with a Kubernetes context the nodes are the cluster's own, and exporters are reached
//! through port-forwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Backend, policies};
use crate::client::access::Access;
use crate::client::exporter::Exporter;
use crate::client::grafana::Grafana;
use crate::client::prometheus::{Prometheus, Target};
use crate::process::child::Process;
use crate::process::command::Cmd;
use crate::run::{Run, evidence};
use crate::stack::{Part, Procfs, Stack};
use crate::terminal::out::{self, Mark};
use crate::terminal::progress::Progress;
use crate::tools::{self, Tool};

/// What was true a moment ago is true now: a check of it waits only for what passes by itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// So many exporters are asked by themselves; Prometheus speaks for the rest.
const ASKED: usize = 10;

/// The port of the exporter's container.
const PORT: u16 = 23333;

/// The exporters' pods.
const PODS: [&str; 4] =
    ["get", "pods", "--selector=app.kubernetes.io/name=mini-node-exporter", "--field-selector=status.phase=Running"];

/// Where the stack is.
#[derive(Debug)]
pub struct Options {
    pub prometheus: String,
    pub grafana: Option<String>,
    /// How Prometheus is asked.
    pub access: Access,
    /// How Grafana is asked.
    pub grafana_access: Access,
    /// The scrape job that the exporters are targets of.
    pub job: String,
    pub cluster: Option<Cluster>,
}

/// A Kubernetes cluster that the user's own `kubectl` reaches.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub context: String,
    pub namespace: String,
}

/// A stack that runs already. Dropping it ends the port-forwards.
#[must_use]
pub struct Existing {
    stack: Stack,
    cluster: Option<Cluster>,
    _forwards: Vec<Process>,
    run: Run,
}

impl Existing {
    /// Looks at what is there.
    pub fn look(options: &Options, progress: &Progress) -> Result<Self> {
        let prometheus = Prometheus::elsewhere(&options.prometheus, &options.access);
        progress.step("ask Prometheus", |step| {
            let targets = prometheus.targets(&options.job)?;
            if targets.is_empty() {
                let jobs = prometheus.jobs().unwrap_or_default().join(", ");
                anyhow::bail!(
                    "Prometheus has no target in job `{}`; its jobs: {jobs}; name another with `--job`",
                    options.job
                );
            }
            step.came_to(format!("{} in job `{}`", out::count(targets.len(), "target", "targets"), options.job));
            Ok(())
        })?;
        let (grafana, datasource) = find_grafana(options, progress)?;
        let run = Run::create("existing")?;
        let (nodes, forwards, exporters) = match &options.cluster {
            Some(cluster) => {
                let (names, forwards, exporters) = cluster.look(&run, progress)?;
                (as_scraped(names, &prometheus.targets(&options.job)?), forwards, exporters)
            }
            None => (scraped(&prometheus, &options.job)?, Vec::new(), Vec::new()),
        };
        let job = options.job.clone();
        let stack =
            Stack { nodes, job, own: false, exporters, prometheus, grafana, datasource, procfs: Procfs::Unseen };
        Ok(Self { stack, cluster: options.cluster.clone(), _forwards: forwards, run })
    }
}

impl Backend for Existing {
    fn name(&self) -> &'static str {
        "existing"
    }

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn run(&self) -> &Run {
        &self.run
    }

    /// It is not ours to keep alive.
    fn alive(&self) -> Result<()> {
        Ok(())
    }

    /// Whom network policies admit to exporters that Prometheus does not reach.
    fn complaints(&self) -> Vec<String> {
        let targets = self.stack.prometheus.targets(&self.stack.job).unwrap_or_default();
        match &self.cluster {
            Some(cluster) if targets.iter().any(|target| target.health == "down") => {
                cluster.policies(&self.run).unwrap_or_else(|error| vec![format!("network policies: {error:#}")])
            }
            _ => Vec::new(),
        }
    }

    fn check_limit(&self, wanted: Duration) -> Duration {
        wanted.min(PATIENCE)
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        evidence::save(&self.run)
    }
}

/// The nodes that Prometheus has targets of.
fn scraped(prometheus: &Prometheus, job: &str) -> Result<BTreeSet<String>> {
    let targets = prometheus.targets(job)?;
    let nodes: BTreeSet<String> =
        targets.iter().filter(|target| !target.label("node").is_empty()).map(Target::node).collect();
    ensure!(
        !nodes.is_empty(),
        "no target in job `{job}` has a label `node`, by which the dashboard and the rules tell nodes apart"
    );
    Ok(nodes)
}

/// Nodes as their samples name them: after their cluster, where Prometheus attaches one.
fn as_scraped(names: BTreeSet<String>, targets: &[Target]) -> BTreeSet<String> {
    let scraped = |name: String| {
        let own: Vec<String> = targets.iter().filter(|target| target.label("node") == name).map(Target::node).collect();
        if own.is_empty() { vec![name] } else { own }
    };
    names.into_iter().flat_map(scraped).collect()
}

/// Grafana, and the data source in it that leads to Prometheus: the dashboard's own, or else what it falls back to.
fn find_grafana(options: &Options, progress: &Progress) -> Result<(Part<Grafana>, Option<String>)> {
    let Some(base) = &options.grafana else { return Ok((Part::LeftOut, None)) };
    let grafana = Grafana::elsewhere(base, &options.grafana_access);
    let datasource = progress.step("ask Grafana", |step| {
        let datasource = grafana.default_prometheus()?;
        step.came_to(
            datasource.as_ref().map_or("its data sources are not shown".into(), |uid| format!("data source {uid}")),
        );
        Ok(datasource)
    })?;
    Ok((Part::Here(grafana), datasource))
}

type Seen = (BTreeSet<String>, Vec<Process>, Vec<Exporter>);

impl Cluster {
    fn look(&self, run: &Run, progress: &Progress) -> Result<Seen> {
        let kubectl = progress.step("find kubectl", |step| tools::find(Tool::Kubectl, None, step))?.path;
        let nodes: BTreeSet<String> = progress.step("list the nodes", |step| {
            let nodes: BTreeSet<String> = self.names(&kubectl, run, &["get", "nodes"])?.into_iter().collect();
            step.came_to(out::count(nodes.len(), "node", "nodes"));
            Ok(nodes)
        })?;
        let forwarded = progress.step("reach the exporters", |step| {
            let pods = self.names(&kubectl, run, &PODS)?;
            ensure!(
                !pods.is_empty(),
                "no exporter's pod runs in namespace {}; name another with `--namespace`",
                self.namespace
            );
            let asked = pods.len().min(ASKED);
            step.came_to(format!("{asked} of {}", pods.len()));
            // All are started before any is waited for.
            let started =
                pods.iter().take(asked).map(|pod| self.forward(&kubectl, pod, run)).collect::<Result<Vec<_>>>()?;
            let exporters = started.iter().map(forwarded_to).collect::<Result<Vec<_>>>()?;
            Ok((started, exporters))
        });
        // Who may not reach pods still has Prometheus to speak for them.
        let (forwards, exporters) = forwarded.unwrap_or_else(|error| {
            progress.say(Mark::Warn, &format!("the exporters are judged by what Prometheus has of them: {error:#}"));
            (Vec::new(), Vec::new())
        });
        Ok((nodes, forwards, exporters))
    }

    fn policies(&self, run: &Run) -> Result<Vec<String>> {
        let kubectl = tools::find_present(Tool::Kubectl)?.path;
        let list = |words: &[&str]| {
            let listed = self.get(&kubectl, run, "json", words)?;
            serde_json::from_str::<Value>(&listed).context("kubectl get")
        };
        let pods = list(&PODS)?;
        let labels = serde_json::from_value(pods["items"][0]["metadata"]["labels"].clone()).context("no exporter")?;
        Ok(policies::admitting(&list(&["get", "networkpolicies"])?, &labels))
    }

    fn names(&self, kubectl: &Path, run: &Run, words: &[&str]) -> Result<Vec<String>> {
        let listed = self.get(kubectl, run, "name", words)?;
        Ok(listed.lines().filter_map(|name| Some(name.split_once('/')?.1.to_owned())).collect())
    }

    fn get(&self, kubectl: &Path, run: &Run, output: &str, words: &[&str]) -> Result<String> {
        let command = Cmd::new(kubectl).args(["--context", &self.context, "--namespace", &self.namespace]);
        let command = command.arg("--cache-dir").arg(run.dir().join("kubectl-cache"));
        let listed = command.args(["--request-timeout=10s", "--output", output]).args(words).read();
        // All of it would only add the command line.
        listed.map_err(|error| anyhow::anyhow!("kubectl: {}", error.reason()))
    }

    fn forward(&self, kubectl: &Path, pod: &str, run: &Run) -> Result<Process> {
        let words = ["--context", &self.context, "--namespace", &self.namespace, "port-forward", "--address=127.0.0.1"];
        let mut args: Vec<_> = words.iter().map(Into::into).collect();
        args.extend([format!("pod/{pod}").into(), format!(":{PORT}").into()]);
        Process::start("port-forward", kubectl, &args, &[], run.dir().join(format!("{pod}.log")))
    }
}

/// The exporter at the end of a port-forward, which says `Forwarding from 127.0.0.1:40123 -> 23333`.
fn forwarded_to(forward: &Process) -> Result<Exporter> {
    let address = forward.wait_for_line("its address", Duration::from_secs(10), |line| {
        Some(line.strip_prefix("Forwarding from ")?.split(' ').next()?.to_owned())
    });
    Ok(Exporter::new(format!("http://{}", address.context("kubectl port-forward")?)))
}
