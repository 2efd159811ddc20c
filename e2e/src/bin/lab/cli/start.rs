//! The flags of a stack that `lab` starts, and which kinds of stack each flag is for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use e2e::backend::Ports;
use e2e::backend::kind::{self, images::Override};
use e2e::backend::local::{self, Fleet, WantedGrafana};

/// The flags of a stack that `lab` starts.
#[derive(Debug, Args)]
pub struct Start {
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
    /// Use this Grafana program instead of searching for one; `lab check` also takes the address of a running one.
    #[arg(long, value_name = "FILE|URL", value_parser = named, conflicts_with_all = ["grafana_home", "without"])]
    pub grafana: Option<Named>,
    /// Use the Grafana in this folder, which holds `bin`, `conf` and `public`.
    #[arg(long, value_name = "DIR", value_parser = path, conflicts_with = "without")]
    pub grafana_home: Option<PathBuf>,
    /// Omit a part.
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
    /// With kind: use this image for exporter, prometheus, grafana or node; also `LAB_IMAGE_NAME=REF`.
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
    /// The options of the local backend.
    pub fn local(&self, ports: Ports) -> local::Options {
        let grafana = match (&self.grafana_home, &self.grafana) {
            _ if self.without.contains(&Part::Grafana) => None,
            (Some(home), _) => Some(WantedGrafana::Home(home.clone())),
            (None, Some(Named::File(program))) => Some(WantedGrafana::Program(program.clone())),
            (None, Some(Named::Address(_)) | None) => Some(WantedGrafana::Any),
        };
        local::Options {
            procfs: self.procfs.clone(),
            scenario: None,
            fleet: self.nodes.map(|nodes| Fleet { nodes: nodes.into(), clusters: self.clusters.unwrap_or(1).into() }),
            exporter: self.exporter.clone(),
            prometheus: self.prometheus.as_ref().and_then(Named::file).cloned(),
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
        vec![
            ("--backend", self.backend == Backend::Kind, &[Kind]),
            ("--path.procfs", self.procfs.is_some(), &[Local, Kind]),
            ("--exporter", self.exporter.is_some(), &[Local]),
            ("--prometheus", by_file(&self.prometheus), &[Local]),
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
    pub fn check(&self) -> Result<(), String> {
        let address = [&self.prometheus, &self.grafana].into_iter().flatten().find_map(Named::address);
        if let Some(address) = address {
            return Err(format!("`{address}` already runs; `lab check --prometheus URL` checks it"));
        }
        refuse(&self.rows(), self.stack())?;
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

    /// The options of the kind backend.
    pub fn kind(&self, ports: Ports) -> kind::Options {
        kind::Options {
            nodes: self.nodes.unwrap_or(3).into(),
            airgap: self.airgap || kind::is_on("LAB_AIRGAP"),
            grafana: !self.without.contains(&Part::Grafana),
            images: self.images.clone(),
            procfs: self.procfs.clone(),
            ports,
            keep: self.keep,
        }
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
    let Some(address) = address(text) else { return path(text).map(Named::File) };
    let host = address.split('/').nth(2).unwrap_or_default();
    if host.contains('@') {
        return Err("an address must not hold credentials: use `--http.config.file`, or `GRAFANA_TOKEN`".into());
    }
    if host.is_empty() { Err("an address needs a host".into()) } else { Ok(Named::Address(address)) }
}

/// The address that `http://…`, `https://…`, `HOST:PORT` or `:PORT` stands for.
fn address(text: &str) -> Option<String> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let scheme = scheme.to_lowercase();
        return ["http", "https"].contains(&&*scheme).then(|| format!("{scheme}://{rest}"));
    }
    let (host, port) = text.split('/').next()?.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    Some(format!("http://{}{text}", if host.is_empty() { "localhost" } else { "" }))
}

/// A path, made absolute: a bare `FILE` is the one in this directory, never another of that name on `PATH`.
pub fn path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}
