//! Where a stack of one's own runs, and from what.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use e2e::backend::Ports;
use e2e::backend::kind::{self, images::Override};
use e2e::backend::local::{self, Fleet, WantedGrafana};

/// Where the stack runs, and from what.
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
    /// Use this Prometheus binary instead of looking for one; `lab check` takes the address of one that runs, too.
    #[arg(long, value_name = "FILE|URL", value_parser = named)]
    pub prometheus: Option<Named>,
    /// Use this Grafana program instead of looking for one; beside the address of a Prometheus, one of a Grafana.
    #[arg(long, value_name = "FILE|URL", value_parser = named, conflicts_with_all = ["grafana_home", "without"])]
    pub grafana: Option<Named>,
    /// Use the Grafana in this folder, which holds `bin`, `conf` and `public`.
    #[arg(long, value_name = "DIR", value_parser = path, conflicts_with = "without")]
    pub grafana_home: Option<PathBuf>,
    /// Leave a part out.
    #[arg(long, value_enum, value_name = "PART")]
    pub without: Vec<Part>,
    /// How many nodes. With local they are simulated, each with a tree of its own, up to 5000; with kind up to 20, the
    /// control plane included, and 3 if nothing is said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub nodes: Option<u16>,
    /// With local: spread the simulated nodes over this many clusters, which have nodes of the same names.
    #[arg(long, value_name = "C", requires = "nodes", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub clusters: Option<u16>,
    /// With kind: use images made only of Debian packages, and build them if they are missing; also `LAB_AIRGAP=1`.
    #[arg(long)]
    pub airgap: bool,
    /// With kind: use this image for exporter, prometheus, grafana or node; also `LAB_IMAGE_NAME=REF`.
    #[arg(long = "image", value_name = "NAME=REF")]
    pub images: Vec<Override>,
    /// With kind: leave the cluster when this process ends, until `lab down`.
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

/// A part that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Grafana and the checks that need it.
    Grafana,
}

/// A program by its file, or one that runs by its address.
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
            edit_config: None,
            state: None,
        }
    }
}

impl Start {
    /// Fails for a flag that means nothing to the chosen backend; the error says what to do instead.
    pub fn check(&self) -> Result<(), String> {
        let only_kind = [("--airgap", self.airgap), ("--image", !self.images.is_empty()), ("--keep", self.keep)];
        let only_local = [
            ("--exporter", self.exporter.is_some()),
            ("--prometheus", self.prometheus.is_some()),
            ("--grafana", self.grafana.is_some()),
            ("--grafana-home", self.grafana_home.is_some()),
            ("--clusters", self.clusters.is_some()),
        ];
        let address = [&self.prometheus, &self.grafana].into_iter().flatten().find_map(Named::address);
        if let Some(address) = address {
            return Err(format!("`{address}` runs already, and this starts a stack: use `lab check --prometheus URL`"));
        }
        match (self.backend, self.nodes) {
            (Backend::Kind, Some(21..)) => return Err("`--nodes` is at most 20 with `--backend kind`".into()),
            (Backend::Local, Some(_)) if self.procfs.is_some() || self.exporter.is_some() => {
                let flag = if self.procfs.is_some() { "--path.procfs" } else { "--exporter" };
                return Err(format!("`{flag}` is for one node, and `--nodes` simulates its own"));
            }
            (Backend::Local, Some(nodes)) if nodes < self.clusters.unwrap_or(1) => {
                return Err("`--clusters` is more than `--nodes`: each cluster needs a node".into());
            }
            _ => {}
        }
        let (flags, advice) = match self.backend {
            Backend::Local => (&only_kind[..], "needs `--backend kind`"),
            Backend::Kind => {
                (&only_local[..], "needs `--backend local`; a cluster runs images, see `--image NAME=REF`")
            }
        };
        match flags.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(format!("`{flag}` {advice}")),
            None => Ok(()),
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
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return path(text).map(Named::File);
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err("an address must not hold credentials: use `--http.config.file`, or `GRAFANA_TOKEN`".into());
    }
    if host.is_empty() { Err("an address needs a host".into()) } else { Ok(Named::Address(text.to_owned())) }
}

/// A path, made absolute: a bare `FILE` is the one in this directory, never another of that name on `PATH`.
pub fn path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}
