//! The command line of `lab`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use e2e::backend::Ports;
use e2e::backend::kind::{self, images::Override};
use e2e::backend::local::{self, WantedGrafana};
use e2e::checks::report::Format;

/// Stands up mini-node-exporter with a real Prometheus, and checks that its metrics arrive.
#[derive(Debug, Parser)]
#[command(name = "lab", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    /// What to do; `up` if nothing is named.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `up`.
    #[command(flatten)]
    pub up: Up,
}

/// What `lab` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stands the stack up, shows links and samples, and stays until Ctrl-C.
    Up(Up),
    /// Stands the stack up, runs every check, and takes it down.
    Check(Check),
    /// Saves a picture of the Grafana dashboard of a lab.
    Screenshot(Screenshot),
    /// Shows a running lab: its links, and what its Prometheus has scraped.
    Status(Which),
    /// Ends a running lab, or removes one that was kept.
    Down(Which),
    /// Prints the logs of a running lab.
    Logs(Which),
    /// Says what each backend needs, what is there, and how to get the rest.
    Doctor,
    /// Makes the images that a cluster needs.
    #[command(subcommand)]
    Images(Images),
}

/// What `lab images` does.
#[derive(Debug, Subcommand)]
pub enum Images {
    /// Builds the exporter's image.
    Build {
        /// Also node and Prometheus, from Debian packages alone.
        #[arg(long)]
        airgap: bool,
    },
}

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
    /// Use this Prometheus binary instead of looking for one.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub prometheus: Option<PathBuf>,
    /// Use this Grafana program instead of looking for one.
    #[arg(long, value_name = "FILE", value_parser = path, conflicts_with_all = ["grafana_home", "without"])]
    pub grafana: Option<PathBuf>,
    /// Use the Grafana in this folder, which holds `bin`, `conf` and `public`.
    #[arg(long, value_name = "DIR", value_parser = path, conflicts_with = "without")]
    pub grafana_home: Option<PathBuf>,
    /// Leave a part out.
    #[arg(long, value_enum, value_name = "PART")]
    pub without: Vec<Part>,
    /// With kind: how many nodes, the control plane included, up to 20; 3 if nothing is said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    pub nodes: Option<u8>,
    /// With kind: use images made of Debian packages alone, and build them if they are not there; also `LAB_AIRGAP=1`.
    #[arg(long)]
    pub airgap: bool,
    /// With kind: use this image for exporter, prometheus, grafana or node; also `LAB_IMAGE_NAME=REF`.
    #[arg(long = "image", value_name = "NAME=REF")]
    pub images: Vec<Override>,
    /// With kind: leave the cluster when this process ends, until `lab down`.
    #[arg(long)]
    pub keep: bool,
}

/// The flags of `lab up`.
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub start: Start,
    /// Stay for this long, such as `30s` or `5m`, instead of until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub stay: Option<Duration>,
}

/// The flags of `lab check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub start: Start,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// The flags of `lab screenshot`.
#[derive(Debug, Args)]
pub struct Screenshot {
    #[command(flatten)]
    pub start: Start,
    /// Draw the lab that runs under this id, instead of one of its own.
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Let a lab of its own run for this long first: that is what the graphs then show.
    #[arg(long = "for", value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    pub stay: Duration,
    /// Where the picture goes; the workspace's `docs` by default.
    #[arg(long, value_name = "DIR", value_parser = path)]
    pub out: Option<PathBuf>,
}

/// Which lab is meant.
#[derive(Debug, Args)]
pub struct Which {
    /// The run's id; may be left out when there is only one.
    pub id: Option<String>,
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

impl Start {
    /// The options of the local backend.
    pub fn local(&self, ports: Ports) -> local::Options {
        let grafana = match (&self.grafana_home, &self.grafana) {
            _ if self.without.contains(&Part::Grafana) => None,
            (Some(home), _) => Some(WantedGrafana::Home(home.clone())),
            (None, Some(program)) => Some(WantedGrafana::Program(program.clone())),
            (None, None) => Some(WantedGrafana::Any),
        };
        local::Options {
            procfs: self.procfs.clone(),
            exporter: self.exporter.clone(),
            prometheus: self.prometheus.clone(),
            grafana,
            ports,
            edit_config: None,
            state: None,
            check_limit: None,
        }
    }
}

impl Start {
    /// Fails for a flag that means nothing to the chosen backend; the error says what to do instead.
    pub fn check(&self) -> Result<(), String> {
        let only_kind = [
            ("--nodes", self.nodes.is_some()),
            ("--airgap", self.airgap),
            ("--image", !self.images.is_empty()),
            ("--keep", self.keep),
        ];
        let only_local = [
            ("--exporter", self.exporter.is_some()),
            ("--prometheus", self.prometheus.is_some()),
            ("--grafana", self.grafana.is_some()),
            ("--grafana-home", self.grafana_home.is_some()),
        ];
        let (flags, advice) = match self.backend {
            Backend::Local => (only_kind, "needs `--backend kind`"),
            Backend::Kind => (only_local, "needs `--backend local`; a cluster runs images, see `--image NAME=REF`"),
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

/// A path, made absolute: a bare `FILE` is the one in this directory, never another of that name on `PATH`.
fn path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_up() {
        let cli = Cli::parse_from(["lab", "--path.procfs", "/tree", "--without", "grafana"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.up.start.procfs.as_deref(), Some(std::path::Path::new("/tree")));
        assert!(cli.up.start.local(Ports::Any).grafana.is_none());
    }

    #[test]
    fn what_was_named_is_what_is_run() {
        let here = std::env::current_dir().unwrap();
        let start = Cli::parse_from("lab --exporter e --prometheus p --grafana g --path.procfs t".split(' ')).up.start;
        for (path, name) in [(start.exporter, "e"), (start.prometheus, "p"), (start.grafana, "g"), (start.procfs, "t")]
        {
            assert_eq!(path, Some(here.join(name)));
        }
    }

    #[test]
    fn a_flag_of_the_other_backend_is_refused() {
        let check = |words: &str| Cli::parse_from(["lab"].into_iter().chain(words.split(' '))).up.start.check();
        for flag in ["--nodes 3", "--airgap", "--image grafana=mine:1", "--keep"] {
            let name = flag.split(' ').next().unwrap();
            assert_eq!(check(flag), Err(format!("`{name}` needs `--backend kind`")));
            assert_eq!(check(&format!("{flag} --backend kind")), Ok(()));
        }
        for flag in ["--exporter /e", "--prometheus /p", "--grafana /g", "--grafana-home /h"] {
            assert!(check(&format!("{flag} --backend kind")).unwrap_err().contains("`--image NAME=REF`"));
            assert_eq!(check(flag), Ok(()));
        }
    }
}
