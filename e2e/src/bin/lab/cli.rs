//! The command line of `lab`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use e2e::backend::kind::{self, images::Override};
use e2e::backend::local::{self, Fleet, WantedGrafana};
use e2e::backend::{Ports, existing};
use e2e::checks;
use e2e::checks::report::Format;
use e2e::client::access::Access;
use e2e::stack;

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
    /// Stands the stack up, runs every check, and takes it down; or checks a stack that runs already.
    Check(Check),
    /// Saves a picture of the Grafana dashboard of a lab.
    Screenshot(Screenshot),
    /// Shows a running lab: its links, and what its Prometheus has scraped.
    Status(Which),
    /// Ends a running lab, or removes one that was kept.
    Down(Which),
    /// Prints the logs of a running lab.
    Logs(Which),
    /// Plays a node's life from a file, and judges whether the alerts follow.
    #[command(subcommand)]
    Scenario(Scenario),
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
        /// Also those of the nodes and of Prometheus, from Debian packages only.
        #[arg(long)]
        airgap: bool,
    },
}

/// What `lab scenario` does.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Lists the shipped scenarios.
    List,
    /// Plays one on real exporters, and judges it with a real Prometheus.
    Run(ScenarioRun),
}

/// The flags of `lab scenario run`.
#[derive(Debug, Args)]
pub struct ScenarioRun {
    /// A shipped scenario, or a file `NAME.yml` of one's own.
    pub name: String,
    #[command(flatten)]
    pub speed: Speed,
    /// Use this exporter binary instead of building the workspace's.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub exporter: Option<PathBuf>,
    /// Use this Prometheus binary instead of looking for one.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub prometheus: Option<PathBuf>,
}

/// How fast a scenario is played.
#[derive(Clone, Copy, Debug, Args)]
pub struct Speed {
    /// Divide every duration of the scenario and of the rules by this.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub speed: u32,
}

/// A scenario, and how many times as many nodes live it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    pub name: String,
    pub times: Option<u16>,
}

impl FromStr for Played {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, times)) = text.rsplit_once('=') else {
            return Ok(Self { name: text.into(), times: None });
        };
        match times.parse() {
            Ok(times @ 1..=200) => Ok(Self { name: name.into(), times: Some(times) }),
            _ => Err("expected NAME or NAME=COUNT, a count from 1 to 200".into()),
        }
    }
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

/// The flags of `lab up`.
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub start: Start,
    /// Stay for this long, such as `30s` or `5m`, instead of until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub stay: Option<Duration>,
    /// With local: play this scenario first, on nodes of its own; with `=COUNT` each of its nodes so many times.
    #[arg(long, value_name = "NAME[=COUNT]")]
    pub scenario: Option<Played>,
    #[command(flatten)]
    pub speed: Speed,
}

/// The flags of `lab check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub start: Start,
    /// Run only this check; may be repeated.
    #[arg(long, value_name = "CHECK", value_parser = check_name())]
    pub only: Vec<String>,
    /// Leave this check out; may be repeated.
    #[arg(long, value_name = "CHECK", value_parser = check_name())]
    pub skip: Vec<String>,
    /// List the checks, and what each proves.
    #[arg(long)]
    pub list: bool,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten, next_help_heading = "A stack that runs already")]
    pub existing: Existing,
}

/// How a stack that runs already is reached. Nothing is started or changed there.
#[derive(Debug, Args)]
pub struct Existing {
    /// With the address of a Prometheus: the nodes are those of this kubectl context, and exporters are asked too.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace of the exporters in that context.
    #[arg(long, value_name = "NS", default_value = "mini-node-exporter", requires = "context")]
    pub namespace: String,
    /// Credentials and certificates for Prometheus, in its own format (as promtool takes it); Grafana's token comes from
    /// `GRAFANA_TOKEN`.
    #[arg(long = "http.config.file", value_name = "FILE", value_parser = path)]
    pub http_config: Option<PathBuf>,
    /// The name of the exporter's scrape job there.
    #[arg(long, value_name = "NAME", default_value = stack::JOB)]
    pub job: String,
    /// Check these dashboards (*.json) instead of ours.
    #[arg(long, value_name = "DIR", value_parser = path)]
    pub dashboards: Option<PathBuf>,
    /// Check these rules (*.yml) instead of ours.
    #[arg(long, value_name = "DIR", value_parser = path)]
    pub rules: Option<PathBuf>,
}

/// A program by its file, or one that runs by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    File(PathBuf),
    Address(String),
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
            (None, Some(Named::File(program))) => Some(WantedGrafana::Program(program.clone())),
            (None, Some(Named::Address(_)) | None) => Some(WantedGrafana::Any),
        };
        local::Options {
            procfs: self.procfs.clone(),
            stage: None,
            fleet: self.nodes.map(|nodes| Fleet { nodes: nodes.into(), clusters: self.clusters.unwrap_or(1).into() }),
            exporter: self.exporter.clone(),
            prometheus: self.prometheus.as_ref().and_then(Named::file).cloned(),
            grafana,
            ports,
            edit_config: None,
            state: None,
            check_limit: None,
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

impl Check {
    /// Where a stack is that runs already, if one is meant; the error is a usage error.
    pub fn existing(&self) -> Result<Option<existing::Options>, String> {
        let (start, flags) = (&self.start, &self.existing);
        let Some(prometheus) = start.prometheus.as_ref().and_then(Named::address) else {
            let given = [
                ("--context", flags.context.is_some()),
                ("--http.config.file", flags.http_config.is_some()),
                ("--job", flags.job != stack::JOB),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((flag, _)) => {
                    Err(format!("`{flag}` needs `--prometheus URL`, the address of a Prometheus that runs"))
                }
                None => Ok(None),
            };
        };
        let grafana = match &start.grafana {
            Some(Named::File(file)) => {
                return Err(format!("`--grafana {}` is not an address, and `--prometheus` is", file.display()));
            }
            Some(Named::Address(address)) => Some(address.clone()),
            None => None,
        };
        let starts = [
            ("--backend kind", start.backend == Backend::Kind),
            ("--path.procfs", start.procfs.is_some()),
            ("--exporter", start.exporter.is_some()),
            ("--grafana-home", start.grafana_home.is_some()),
            ("--nodes", start.nodes.is_some()),
            ("--image", !start.images.is_empty()),
            ("--keep", start.keep),
        ];
        if let Some((flag, _)) = starts.iter().find(|(_, given)| *given) {
            return Err(format!("`{flag}` starts something, and `--prometheus {prometheus}` only looks at what runs"));
        }
        let access =
            flags.http_config.as_deref().map(Access::read).transpose().map_err(|error| format!("{error:#}"))?;
        let token = std::env::var("GRAFANA_TOKEN").ok().filter(|token| !token.is_empty());
        let cluster = flags.context.clone();
        Ok(Some(existing::Options {
            prometheus: prometheus.clone(),
            grafana,
            access: access.unwrap_or_default(),
            grafana_access: token.as_deref().map(Access::token).unwrap_or_default(),
            job: flags.job.clone(),
            cluster: cluster.map(|context| existing::Cluster { context, namespace: flags.namespace.clone() }),
        }))
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

/// The names of the checks, which an error lists.
fn check_name() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(checks::names())
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
        let file = |named: Option<Named>| named.and_then(|named| named.file().cloned());
        let (prometheus, grafana) = (file(start.prometheus), file(start.grafana));
        for (path, name) in [(start.exporter, "e"), (prometheus, "p"), (grafana, "g"), (start.procfs, "t")] {
            assert_eq!(path, Some(here.join(name)));
        }
    }

    #[test]
    fn a_flag_of_the_other_backend_is_refused() {
        let check = |words: &str| Cli::parse_from(["lab"].into_iter().chain(words.split(' '))).up.start.check();
        for flag in ["--airgap", "--image grafana=mine:1", "--keep"] {
            let name = flag.split(' ').next().unwrap();
            assert_eq!(check(flag), Err(format!("`{name}` needs `--backend kind`")));
            assert_eq!(check(&format!("{flag} --backend kind")), Ok(()));
        }
        for flag in ["--exporter /e", "--prometheus /p", "--grafana /g", "--grafana-home /h"] {
            assert!(check(&format!("{flag} --backend kind")).unwrap_err().contains("`--image NAME=REF`"));
            assert_eq!(check(flag), Ok(()));
        }
    }

    #[test]
    fn an_address_means_a_stack_that_runs() {
        let parse = |words: &str| match Cli::parse_from(["lab", "check"].into_iter().chain(words.split(' '))).command {
            Some(Command::Check(check)) => check.existing(),
            other => panic!("{other:?}"),
        };
        let options = parse("--prometheus https://p/x --grafana http://g --context c --job j").unwrap().unwrap();
        assert_eq!((options.prometheus.as_str(), options.grafana.as_deref()), ("https://p/x", Some("http://g")));
        assert_eq!((options.cluster.unwrap().namespace.as_str(), options.job.as_str()), ("mini-node-exporter", "j"));
        assert!(parse("--prometheus ./prometheus").unwrap().is_none());
        for (words, said) in [
            ("--context c", "`--context` needs `--prometheus URL`"),
            ("--prometheus http://p --grafana ./g", "is not an address"),
            ("--prometheus http://p --path.procfs t", "`--path.procfs` starts something"),
        ] {
            assert!(parse(words).unwrap_err().contains(said), "{words}");
        }
        let refused =
            Cli::try_parse_from(["lab", "check", "--prometheus", "http://u:s3cret@p"]).unwrap_err().to_string();
        assert!(refused.contains("must not hold credentials"), "{refused}");
    }

    #[test]
    fn nodes_are_for_both_backends_within_the_limits_of_each() {
        let check = |words: &str| Cli::parse_from(["lab"].into_iter().chain(words.split(' '))).up.start.check();
        for good in ["--nodes 1", "--nodes 300 --clusters 2", "--nodes 20 --backend kind"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, said) in [
            ("--nodes 21 --backend kind", "at most 20"),
            ("--nodes 2 --clusters 2 --backend kind", "`--clusters` needs `--backend local`"),
            ("--nodes 1 --clusters 2", "each cluster needs a node"),
            ("--nodes 2 --path.procfs /p", "`--path.procfs` is for one node"),
            ("--nodes 2 --exporter /e", "`--exporter` is for one node"),
        ] {
            assert!(check(bad).unwrap_err().contains(said), "{bad}");
        }
    }
}
