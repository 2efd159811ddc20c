//! A stack that runs already: nothing is started or changed in it. With a Kubernetes context the nodes are the cluster's
//! own, and exporters are reached through port-forwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Backend;
use super::kind::objects::{DaemonSet, Objects, Pod};
use crate::client::access::Access;
use crate::client::alertmanager::Alertmanager;
use crate::client::exporter::Exporter;
use crate::client::grafana::Grafana;
use crate::client::prometheus::{Prometheus, Target};
use crate::process::child::Process;
use crate::process::command::Cmd;
use crate::run::{Run, evidence};
use crate::stack::{JOB, Part, Procfs, Scraped, Stack};
use crate::terminal::out::{self, Mark};
use crate::terminal::progress::Progress;
use crate::tools::{self, Tool};

/// How long a check waits: the stack has been up for long.
const LIMIT: Duration = Duration::from_secs(3);

/// At most this many exporters are asked directly.
const ASKED: usize = 10;

/// The metric by which this repository's exporter is recognized.
const BUILD_INFO: &str = "mini_node_exporter_build_info";

/// The selector of the exporter's `DaemonSet` and pods.
const EXPORTER: &str = "--selector=app.kubernetes.io/name=mini-node-exporter";

/// Where the stack is.
#[derive(Debug)]
pub struct Options {
    pub prometheus: String,
    /// The address of an Alertmanager, where there is one to ask.
    pub alertmanager: Option<String>,
    /// Whether a synthetic alert may page somebody.
    pub probe_alert: bool,
    /// Whether Prometheus should send its alerts to one.
    pub has_alertmanager: bool,
    pub grafana: Option<String>,
    /// Credentials for Prometheus and Alertmanager.
    pub access: Access,
    /// Credentials for Grafana.
    pub grafana_access: Access,
    /// The scrape job that is checked.
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
    /// Asks Prometheus, Grafana and the cluster what is there.
    pub fn connect(options: &Options, progress: &Progress) -> Result<Self> {
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
        let (scraped, forwards, exporters) = match &options.cluster {
            Some(cluster) => {
                let (names, forwards, exporters) = cluster.connect(&options.access, &run, progress)?;
                let nodes = as_scraped(names, &prometheus.targets(&options.job)?);
                (Scraped::Nodes(nodes), forwards, exporters)
            }
            None => (scraped(&prometheus, &options.job)?, Vec::new(), Vec::new()),
        };
        let stack = Stack {
            scraped,
            job: options.job.clone(),
            own: false,
            alertmanager: find_alertmanager(options),
            datasource,
            ..Stack::own(BTreeSet::new(), exporters, prometheus, grafana, Procfs::Unseen)
        };
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

    /// Its parts are not monitored.
    fn alive(&self) -> Result<()> {
        Ok(())
    }

    /// The network policies beside exporters that Prometheus does not reach: they say whom they admit.
    fn complaints(&self) -> Vec<String> {
        let targets = self.stack.prometheus.targets(&self.stack.job).unwrap_or_default();
        match &self.cluster {
            Some(cluster) if targets.iter().any(|target| target.health == "down") => {
                let policies =
                    cluster.policies(&self.run).unwrap_or_else(|error| format!("network policies: {error:#}"));
                policies.lines().map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    fn check_limit(&self, wanted: Duration) -> Duration {
        wanted.min(LIMIT)
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        evidence::save(&self.run)
    }
}

/// What Prometheus has targets of. They are this repository's exporters if the job has its name, or if they expose its
/// metric under another.
fn scraped(prometheus: &Prometheus, job: &str) -> Result<Scraped> {
    let targets = prometheus.targets(job)?;
    let is_ours = || anyhow::Ok(!prometheus.query(&format!("{BUILD_INFO}{{job=\"{job}\"}}"))?.is_empty());
    if job != JOB && !is_ours()? {
        return Ok(Scraped::Instances(targets.iter().map(|target| target.label("instance").to_owned()).collect()));
    }
    let nodes: BTreeSet<String> =
        targets.iter().filter(|target| !target.label("node").is_empty()).map(Target::node).collect();
    ensure!(
        !nodes.is_empty(),
        "no target in job `{job}` has a label `node`, by which the dashboard and the rules tell nodes apart"
    );
    Ok(Scraped::Nodes(nodes))
}

/// Returns nodes as their samples name them: after their cluster, where Prometheus attaches one.
fn as_scraped(names: BTreeSet<String>, targets: &[Target]) -> BTreeSet<String> {
    let scraped = |name: String| {
        let own: Vec<String> = targets.iter().filter(|target| target.label("node") == name).map(Target::node).collect();
        if own.is_empty() { vec![name] } else { own }
    };
    names.into_iter().flat_map(scraped).collect()
}

/// The Alertmanager, where there is one.
fn find_alertmanager(options: &Options) -> Part<Option<Alertmanager>> {
    let named =
        options.alertmanager.as_ref().map(|base| Alertmanager::elsewhere(base, &options.access, options.probe_alert));
    if options.has_alertmanager { Part::Here(named) } else { Part::Omitted }
}

/// Grafana, and the data source in it that leads to Prometheus: the dashboard's own, or else what it falls back to.
fn find_grafana(options: &Options, progress: &Progress) -> Result<(Part<Grafana>, Option<String>)> {
    let Some(base) = &options.grafana else { return Ok((Part::Omitted, None)) };
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
    fn connect(&self, access: &Access, run: &Run, progress: &Progress) -> Result<Seen> {
        let kubectl = progress.step("find kubectl", |step| tools::find(Tool::Kubectl, None, step))?.path;
        let workloads = self.workloads(&kubectl, run);
        let nodes: BTreeSet<String> = progress.step("list the nodes", |step| {
            let listed = self.kubectl(&kubectl, run, &["get", "nodes", "--output=name"])?;
            let all = listed.lines().filter_map(|name| Some(name.split_once('/')?.1.to_owned())).collect();
            let nodes = expected(all, workloads.as_ref().ok());
            ensure!(!nodes.is_empty(), "no nodes in context {}", self.context);
            step.came_to(out::count(nodes.len(), "node", "nodes"));
            Ok(nodes)
        })?;
        let forwarded = progress.step("reach the exporters", |step| {
            let pods = workloads?.pods;
            let running: Vec<&Pod> = pods.iter().filter(|pod| pod.status.phase == "Running").collect();
            ensure!(
                !running.is_empty(),
                "no exporter's pod runs in namespace {}; name another with `--namespace`",
                self.namespace
            );
            let asked = running.len().min(ASKED);
            step.came_to(format!("{asked} of {}", running.len()));
            // All are started before any is waited for.
            let started = running.iter().take(asked).map(|pod| self.forward(&kubectl, pod, access, run));
            let started = started.collect::<Result<Vec<_>>>()?;
            let exporters = started.iter().map(Forward::exporter).collect::<Result<Vec<_>>>()?;
            Ok((started.into_iter().map(|forward| forward.process).collect(), exporters))
        });
        let (forwards, exporters) = forwarded.unwrap_or_else(|error| {
            let text = format!("cannot reach the exporters; checking through Prometheus only: {error:#}");
            progress.say(Mark::Warn, &text);
            (Vec::new(), Vec::new())
        });
        Ok((nodes, forwards, exporters))
    }

    fn workloads(&self, kubectl: &Path, run: &Run) -> Result<Objects> {
        let text = self.kubectl(kubectl, run, &["get", "daemonsets,pods", EXPORTER, "--output=json"])?;
        serde_json::from_str(&text).context("kubectl get daemonsets,pods")
    }

    fn policies(&self, run: &Run) -> Result<String> {
        self.kubectl(&tools::find_present(Tool::Kubectl)?.path, run, &["describe", "networkpolicies"])
    }

    fn kubectl(&self, kubectl: &Path, run: &Run, words: &[&str]) -> Result<String> {
        let command = Cmd::new(kubectl).args(["--context", &self.context, "--namespace", &self.namespace]);
        let command = command.arg("--cache-dir").arg(run.dir().join("kubectl-cache"));
        let asked = command.arg("--request-timeout=10s").args(words).read();
        // All of it would only add the command line.
        asked.map_err(|error| anyhow::anyhow!("kubectl: {}", error.reason()))
    }

    fn forward<'a>(&self, kubectl: &Path, pod: &Pod, access: &'a Access, run: &Run) -> Result<Forward<'a>> {
        let name = &pod.metadata.name;
        let (port, scheme) = pod.probe().with_context(|| format!("pod {name} has no readiness probe over HTTP"))?;
        let words = ["--context", &self.context, "--namespace", &self.namespace, "port-forward", "--address=127.0.0.1"];
        let mut args: Vec<_> = words.iter().map(Into::into).collect();
        args.extend(["--cache-dir".into(), run.dir().join("kubectl-cache").into()]);
        args.extend([format!("pod/{name}").into(), format!(":{port}").into()]);
        let process = Process::start("port-forward", kubectl, &args, &[], run.dir().join(format!("{name}.log")))?;
        Ok(Forward { process, access: (scheme == "HTTPS").then_some(access) })
    }
}

/// The nodes that have to be scraped: those for which the `DaemonSet` makes pods. It may leave out some by a node selector
/// or an affinity; as long as it lacks a pod, all are expected.
fn expected(all: BTreeSet<String>, workloads: Option<&Objects>) -> BTreeSet<String> {
    let Some(Objects { daemon_sets, pods, .. }) = workloads else { return all };
    let wanted = |set: &DaemonSet| set.status.desired_number_scheduled;
    let on: BTreeSet<String> =
        pods.iter().map(|pod| pod.spec.node_name.clone()).filter(|node| all.contains(node)).collect();
    if !on.is_empty() && on.len() == daemon_sets.iter().map(wanted).sum::<usize>() { on } else { all }
}

/// A port-forward to the port of an exporter's readiness probe.
struct Forward<'a> {
    process: Process,
    /// Credentials for an exporter that uses TLS.
    access: Option<&'a Access>,
}

impl Forward<'_> {
    /// The exporter at its end; kubectl says `Forwarding from 127.0.0.1:40123 -> 23333`.
    fn exporter(&self) -> Result<Exporter> {
        let address = self.process.wait_for_line("its address", Duration::from_secs(10), |line| {
            Some(line.strip_prefix("Forwarding from ")?.split(' ').next()?.to_owned())
        });
        let address = address.context("kubectl port-forward")?;
        Ok(match self.access {
            Some(access) => Exporter::elsewhere(&format!("https://{address}"), access),
            None => Exporter::new(format!("http://{address}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn objects(items: &[Value]) -> Objects {
        serde_json::from_value(json!({ "items": items })).unwrap()
    }

    fn pod(node: &str) -> Value {
        json!({ "kind": "Pod", "metadata": { "name": node }, "spec": { "nodeName": node } })
    }

    /// Windows, Fargate, an affinity: the `DaemonSet` wants no pod there.
    #[test]
    fn nodes_that_the_daemon_set_leaves_out_are_not_expected() {
        let all = || BTreeSet::from(["a", "b", "w"].map(str::to_owned));
        let set = json!({ "kind": "DaemonSet", "status": { "desiredNumberScheduled": 2 } });
        let complete = objects(&[set.clone(), pod("a"), pod("b")]);
        assert_eq!(expected(all(), Some(&complete)), BTreeSet::from(["a", "b"].map(str::to_owned)));
        // A pod is missing, on an unknown node.
        assert_eq!(expected(all(), Some(&objects(&[set, pod("a")]))), all());
        assert_eq!(expected(all(), None), all());
    }

    #[test]
    fn the_port_of_an_exporter_is_that_of_its_probe() {
        let probed = |port: Value, scheme: &str| {
            let ports =
                json!([{ "name": "metrics", "containerPort": 23333 }, { "name": "health", "containerPort": 23334 }]);
            let probe = json!({ "httpGet": { "port": port, "scheme": scheme } });
            let spec = json!({ "containers": [{ "ports": ports, "readinessProbe": probe }] });
            let pods = objects(&[json!({ "kind": "Pod", "spec": spec })]).pods;
            pods[0].probe().map(|(port, scheme)| (port, scheme.to_owned()))
        };
        assert_eq!(probed(json!("metrics"), "HTTP"), Some((23333, "HTTP".into())));
        assert_eq!(probed(json!("health"), "HTTP"), Some((23334, "HTTP".into())));
        assert_eq!(probed(json!(9100), "HTTPS"), Some((9100, "HTTPS".into())));
        assert_eq!(probed(json!("other"), "HTTP"), None);
    }
}
