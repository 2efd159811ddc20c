//! The flags of a stack that `lab` starts, and which kinds of stack each flag is for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use e2e::backend::kind::images::{self, Image, Override};
use e2e::backend::local::{self, Fleet, WantedGrafana, WantedProgram};
use e2e::backend::{Ports, kind};
use e2e::stack::nodes::ITSELF;
use e2e::terminal::exit::Usage;
use e2e::workspace::project::Project;
use e2e::workspace::{
    self,
    description::{self, Description},
};

/// The shortest interval at which targets are scraped.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// The flags of a stack that `lab` starts.
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    pub description: Description,
    /// Read the flags above from this file; lab.toml in the current directory by default, if there is one.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub file: Option<PathBuf>,
    /// Where the stack runs.
    #[arg(long, value_enum, default_value_t)]
    pub backend: Backend,
    /// Let the exporter read this tree instead of /proc.
    #[arg(long = "path.procfs", value_name = "DIR", value_parser = path)]
    pub procfs: Option<PathBuf>,
    /// Use this exporter binary instead of building the workspace's.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub exporter: Option<PathBuf>,
    /// Use this Prometheus binary instead of searching for one; `lab check` also takes the address of a running one.
    #[arg(long, value_name = "FILE|URL", value_parser = named)]
    pub prometheus: Option<Named>,
    /// Use this Alertmanager binary instead of searching for one; `lab check` also takes the address of a running one.
    #[arg(long, value_name = "FILE|URL", value_parser = named)]
    pub alertmanager: Option<Named>,
    /// Use this Grafana program instead of searching for one; `lab check` also takes the address of a running one.
    #[arg(long, value_name = "FILE|URL", value_parser = named, conflicts_with = "grafana_home")]
    pub grafana: Option<Named>,
    /// Use the Grafana in this folder, which holds `bin`, `conf` and `public`.
    #[arg(long, value_name = "DIR", value_parser = path)]
    pub grafana_home: Option<PathBuf>,
    /// Omit a part; may be repeated.
    #[arg(long, value_enum, value_name = "PART")]
    pub without: Vec<Part>,
    /// How many nodes. With local: simulated ones, up to 5000; with kind: up to 20, including the control plane, 3 by
    /// default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub nodes: Option<u16>,
    /// With local: spread the simulated nodes over this many clusters, whose nodes have the same names.
    #[arg(long, value_name = "C", requires = "nodes", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub clusters: Option<u16>,
    /// With kind: use images made of Debian packages and Go modules, and build those that are missing; also `LAB_AIRGAP=1`.
    #[arg(long)]
    pub airgap: bool,
    /// With kind: use this image for exporter, prometheus, alertmanager, grafana or node, or load that of kube-state-metrics; also
    /// `LAB_IMAGE_NAME=REF`.
    #[arg(long = "image", value_name = "NAME=REF")]
    pub images: Vec<Override>,
    /// With kind: keep the cluster after this process exits, until `lab down`.
    #[arg(long)]
    pub keep: bool,
}

/// Where a stack runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Child processes on loopback: no Docker, no root.
    #[default]
    Local,
    /// A throw-away Kubernetes cluster whose nodes are containers.
    Kind,
}

/// A part that can be omitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Alertmanager and the checks that need it.
    Alertmanager,
    /// Grafana and the checks that need it.
    Grafana,
}

/// A program by its file, or a running one by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    File(PathBuf),
    Address(String),
}

impl Start {
    /// Adds what the file says and no flag does.
    pub fn complete(&mut self) -> Result<(), Usage> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None if Path::new(description::FILE).exists() => description::FILE.into(),
            None => return Ok(()),
        };
        let mut read = Description::read(&file).map_err(|error| Usage(format!("{error:#}")))?;
        if self.stack() == Stack::Existing {
            // It scrapes what it scrapes.
            read = Description {
                target: Vec::new(),
                command: None,
                scrape_interval: None,
                alertmanager_config: None,
                ..read
            };
        }
        self.description = std::mem::take(&mut self.description).or(read);
        Ok(())
    }

    /// The options of the local backend.
    pub fn local(&self, project: Project, ports: Ports) -> local::Options {
        let grafana = match (&self.grafana_home, &self.grafana) {
            _ if self.without.contains(&Part::Grafana) => None,
            (Some(home), _) => Some(WantedGrafana::Home(home.clone())),
            (None, Some(Named::File(program))) => Some(WantedGrafana::Program(program.clone())),
            (None, Some(Named::Address(_)) | None) => Some(WantedGrafana::Any),
        };
        let alertmanager = match &self.alertmanager {
            _ if self.without.contains(&Part::Alertmanager) => None,
            Some(Named::File(program)) => Some(WantedProgram::File(program.clone())),
            Some(Named::Address(_)) | None => Some(WantedProgram::Any),
        };
        local::Options {
            project,
            procfs: self.procfs.clone(),
            scenario: None,
            fleet: self.nodes.map(|nodes| Fleet { nodes: nodes.into(), clusters: self.clusters.unwrap_or(1).into() }),
            exporter: self.exporter.clone(),
            prometheus: self.prometheus.as_ref().and_then(Named::file).cloned(),
            alertmanager,
            grafana,
            ports,
        }
    }
}

/// The kinds of stack that a flag can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    Local,
    Kind,
    /// One that already runs.
    Existing,
}

/// A flag, whether it was given, and the stacks that it is for.
pub type Row = (&'static str, bool, &'static [Stack]);

/// Fails for a flag that was given and is not for this stack; the error says what to do instead.
pub fn refuse(rows: &[Row], stack: Stack) -> Result<(), String> {
    let Some((flag, _, of)) = rows.iter().find(|(_, given, of)| *given && !of.contains(&stack)) else { return Ok(()) };
    Err(match (stack, of) {
        (Stack::Existing, _) => {
            format!("`{flag}` is for a stack that `lab` starts, and `--prometheus URL` names one that already runs")
        }
        (_, [Stack::Existing]) => format!("`{flag}` needs `--prometheus URL`, the address of a running Prometheus"),
        (Stack::Local, _) => format!("`{flag}` needs `--backend kind`"),
        (Stack::Kind, _) => {
            format!("`{flag}` needs `--backend local`; a cluster runs images, see `--image NAME=REF`")
        }
    })
}

impl Start {
    /// The stack that is meant.
    pub fn stack(&self) -> Stack {
        match self.backend {
            _ if self.prometheus.as_ref().is_some_and(|named| named.address().is_some()) => Stack::Existing,
            Backend::Local => Stack::Local,
            Backend::Kind => Stack::Kind,
        }
    }

    /// Every flag.
    pub fn rows(&self) -> Vec<Row> {
        use Stack::{Existing, Kind, Local};
        let by_file = |named: &Option<Named>| named.as_ref().is_some_and(|named| named.file().is_some());
        let Description { target, command, job, scrape_interval, alertmanager_config, .. } = &self.description;
        vec![
            ("--target", !target.is_empty(), &[Local]),
            ("--command", command.is_some(), &[Local]),
            ("--job", job.is_some(), &[Local, Existing]),
            ("--scrape-interval", scrape_interval.is_some(), &[Local]),
            ("--backend", self.backend == Backend::Kind, &[Kind]),
            ("--path.procfs", self.procfs.is_some(), &[Local, Kind]),
            ("--exporter", self.exporter.is_some(), &[Local]),
            ("--prometheus", by_file(&self.prometheus), &[Local]),
            ("--alertmanager", by_file(&self.alertmanager), &[Local]),
            ("--alertmanager-config", alertmanager_config.is_some(), &[Local, Kind]),
            ("--grafana", by_file(&self.grafana), &[Local]),
            ("--grafana-home", self.grafana_home.is_some(), &[Local]),
            ("--without", !self.without.is_empty(), &[Local, Kind, Existing]),
            ("--nodes", self.nodes.is_some(), &[Local, Kind]),
            ("--clusters", self.clusters.is_some(), &[Local]),
            ("--airgap", self.airgap, &[Kind]),
            ("--image", !self.images.is_empty(), &[Kind]),
            ("--keep", self.keep, &[Kind]),
        ]
    }

    /// Fails for what the chosen backend cannot start; the error says what to do instead.
    pub fn check(&self, has_exporter: bool) -> Result<(), String> {
        let address =
            [&self.prometheus, &self.alertmanager, &self.grafana].into_iter().flatten().find_map(Named::address);
        if let Some(address) = address {
            return Err(format!("`{address}` already runs; `lab check --prometheus URL` checks it"));
        }
        refuse(&self.rows(), self.stack())?;
        self.check_parts()?;
        self.check_description()?;
        self.check_place(has_exporter)?;
        match (self.backend, self.nodes) {
            (Backend::Kind, Some(21..)) => Err("`--nodes` is at most 20 with `--backend kind`".into()),
            (Backend::Local, Some(_)) if self.procfs.is_some() || self.exporter.is_some() => {
                let flag = if self.procfs.is_some() { "--path.procfs" } else { "--exporter" };
                Err(format!("`{flag}` is for one node, and `--nodes` simulates its own"))
            }
            (Backend::Local, Some(nodes)) if nodes < self.clusters.unwrap_or(1) => {
                Err("`--clusters` is more than `--nodes`: each cluster needs a node".into())
            }
            _ => Ok(()),
        }
    }

    /// Fails for a part that is named and omitted.
    pub fn check_parts(&self) -> Result<(), String> {
        let named = [
            ("--alertmanager", self.alertmanager.is_some(), Part::Alertmanager),
            ("--grafana", self.grafana.is_some(), Part::Grafana),
            ("--grafana-home", self.grafana_home.is_some(), Part::Grafana),
        ];
        match named.iter().find(|(_, given, part)| *given && self.without.contains(part)) {
            Some((flag, ..)) => Err(format!("`{flag}` names a part that `--without` omits")),
            None => Ok(()),
        }
    }

    /// Fails outside a checkout for what is built from one.
    fn check_place(&self, has_exporter: bool) -> Result<(), String> {
        let is_built =
            has_exporter && self.description.target.is_empty() && self.exporter.is_none() && self.nodes.is_none();
        match self.backend {
            _ if workspace::checkout().is_some() => Ok(()),
            Backend::Kind => Err("`--backend kind` needs a checkout of mini-node-exporter".into()),
            Backend::Local if is_built => Err(
                "no checkout of mini-node-exporter here to build the exporter from: name a program with `--target HOST:PORT`, \
                 with `--command` to start it, or in `lab.toml`; or this exporter's binary with `--exporter FILE`"
                    .into(),
            ),
            Backend::Local => Ok(()),
        }
    }

    /// Fails for flags of one kind of target together with those of the other.
    fn check_description(&self) -> Result<(), String> {
        let Description { target, command, job, scrape_interval, .. } = &self.description;
        let given = |flags: &[(&'static str, bool)]| flags.iter().find(|(_, given)| *given).map(|(flag, _)| *flag);
        let of_others = [
            ("--command", command.is_some()),
            ("--job", job.is_some()),
            ("--scrape-interval", scrape_interval.is_some()),
        ];
        let of_ours = [
            ("--exporter", self.exporter.is_some()),
            ("--path.procfs", self.procfs.is_some()),
            ("--nodes", self.nodes.is_some()),
        ];
        match (given(&of_others), given(&of_ours)) {
            (Some(flag), _) if target.is_empty() => {
                Err(format!("`{flag}` needs `--target HOST:PORT`, where another program is scraped"))
            }
            (_, Some(flag)) if !target.is_empty() => {
                Err(format!("`{flag}` is for mini-node-exporter, and `--target` names another program"))
            }
            _ if command.is_some() && target.len() > 1 => {
                Err("`--command` starts one program: name its address with one `--target`".into())
            }
            _ if (1..target.len()).any(|at| target[..at].iter().any(|other| other.address == target[at].address)) => {
                Err("`--target` names an address twice, and its series would have the same labels".into())
            }
            _ if job.as_deref() == Some(ITSELF) => Err(format!(
                "`--job {ITSELF}` is the job in which the lab's Prometheus scrapes itself; choose another name"
            )),
            _ if scrape_interval.is_some_and(|interval| *interval < LEAST_INTERVAL) => {
                Err("`--scrape-interval` is at least 100ms".into())
            }
            _ => Ok(()),
        }
    }

    /// The options of the kind backend.
    pub fn kind(&self, project: &Project, ports: Ports) -> Result<kind::Options> {
        let has_alertmanager = !self.without.contains(&Part::Alertmanager);
        let grafana = (!self.without.contains(&Part::Grafana)).then_some(Image::Grafana);
        let is_named = images::chosen(Image::KubeStateMetrics, &self.images).is_some();
        Ok(kind::Options {
            nodes: self.nodes.unwrap_or(3).into(),
            airgap: self.airgap || kind::is_on("LAB_AIRGAP"),
            alertmanager: has_alertmanager.then(|| project.alertmanager_config()).transpose()?,
            optional: grafana.into_iter().chain(is_named.then_some(Image::KubeStateMetrics)).collect(),
            images: self.images.clone(),
            procfs: self.procfs.clone(),
            ports,
            keep: self.keep,
        })
    }
}

impl Named {
    pub fn file(&self) -> Option<&PathBuf> {
        if let Self::File(file) = self { Some(file) } else { None }
    }

    pub fn address(&self) -> Option<&String> {
        if let Self::Address(address) = self { Some(address) } else { None }
    }
}

/// A file, or an address. Credentials in an address would stand in every message about it.
fn named(text: &str) -> Result<Named, String> {
    let Some(address) = description::url(text) else { return path(text).map(Named::File) };
    let host = address.split('/').nth(2).unwrap_or_default();
    if host.contains('@') {
        return Err("an address must not hold credentials: use `--http.config.file`, or `GRAFANA_TOKEN`".into());
    }
    if host.is_empty() { Err("an address needs a host".into()) } else { Ok(Named::Address(address)) }
}

/// A path, made absolute: a bare `FILE` is the one in this directory, never another of that name on `PATH`.
pub fn path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}
