//! The command line of `lab`.

mod check;
mod start;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use e2e::play::Mode;
use e2e::terminal::report::Format;

use crate::doctor;
pub use check::Check;
use start::path;
pub use start::{Backend, Named, Start};

/// Stands up mini-node-exporter with a real Prometheus, and checks that its metrics arrive.
#[derive(Debug, Parser)]
#[command(name = "lab", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    /// The command; `up` by default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `up`.
    #[command(flatten)]
    pub up: Up,
    /// Hide progress; print results and errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts the stack, shows links and samples, and stays until Ctrl-C.
    Up(Up),
    /// Starts the stack, runs every check, and stops it; or checks a stack that already runs.
    Check(Check),
    /// Lists running labs; for a single lab, shows links and samples.
    Status(Status),
    /// Stops a running lab, or removes one that was kept.
    Down(Which),
    /// Prints the logs of a running lab.
    Logs(Which),
    /// Plays unit tests of rules on a real Prometheus, scenarios of nodes on real exporters, too.
    #[command(subcommand)]
    Scenario(Scenario),
    /// Changes rules one clause at a time, and lists the changes that no unit test notices.
    Mutate(Mutate),
    /// Lists what each backend needs, what is installed, and how to get the rest.
    Doctor(Doctor),
    /// Builds the images that a cluster needs.
    #[command(subcommand)]
    Images(Images),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell that loads the script.
        shell: Shell,
    },
}

/// The commands of `lab images`.
#[derive(Debug, Subcommand)]
pub enum Images {
    /// Builds the exporter's image.
    Build {
        /// Also build those of the nodes and of Prometheus, from Debian packages and Go modules.
        #[arg(long)]
        airgap: bool,
    },
}

/// What `lab scenario` does.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Lists the shipped scenarios.
    List,
    /// Plays scenarios and other unit tests of rules, and shows promtool's verdict beside what was seen.
    Run(ScenarioRun),
}

/// The flags of `lab scenario run`.
#[derive(Debug, Args)]
pub struct ScenarioRun {
    /// Shipped scenarios, or files of unit tests as `promtool test rules` takes them; `FILE:LINE` is one test.
    #[arg(required = true, value_name = "NAME|FILE")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub speed: Speed,
    /// With tests without exporters: how the groups of rules are evaluated.
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// How many tests without exporters are played at once; by default four for each core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// The format of the report.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Use this exporter binary instead of building the workspace's.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub exporter: Option<PathBuf>,
    /// Use this Prometheus binary instead of looking for one.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub prometheus: Option<PathBuf>,
    /// Use this Alertmanager binary instead of looking for one, where a scenario expects pages.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub alertmanager: Option<PathBuf>,
    /// Start Alertmanager with this configuration: its routes and inhibitions, and receivers that are the lab.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub alertmanager_config: Option<PathBuf>,
}

/// The flags of `lab mutate`.
#[derive(Debug, Args)]
#[command(override_usage = "lab mutate [OPTIONS] <RULES>... --tests <FILES>...")]
pub struct Mutate {
    /// The rule files.
    #[arg(required = true, value_name = "RULES", value_parser = path)]
    pub rules: Vec<PathBuf>,
    /// Their unit tests, in the notation of `promtool test rules`.
    #[arg(long, required = true, num_args = 1.., value_name = "FILES", value_parser = path)]
    pub tests: Vec<PathBuf>,
    /// Try only changes of this kind, such as `arm`, or of this rule, or the one change `RULE: CHANGE`; may be repeated.
    #[arg(long, value_name = "CHANGES")]
    pub only: Vec<String>,
    /// The format of the report.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How fast a scenario runs.
#[derive(Clone, Copy, Debug, Args)]
pub struct Speed {
    /// Divide every duration of tests and rules by this; by default by 60 on exporters, otherwise by as much as they allow.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub speed: Option<u32>,
}

impl Speed {
    /// The speed of a scenario.
    pub fn of_scenario(self) -> u32 {
        self.speed.unwrap_or(60)
    }
}

/// The flags of `lab up`.
#[derive(Debug, Args)]
#[command(mut_arg("speed", |speed| speed.requires("scenario")))]
pub struct Up {
    #[command(flatten)]
    pub start: Start,
    /// Stop after this time, such as `30s` or `5m`, instead of at Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub stay: Option<Duration>,
    /// Run the lab in the background, and return as soon as it is ready; `lab down` stops it.
    #[arg(long)]
    pub detach: bool,
    /// With local: play this scenario first, on nodes of its own, or this unit test of rules; `FILE:LINE` where a file has
    /// several.
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
    #[command(flatten)]
    pub speed: Speed,
}

/// The flags of `lab status`.
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub which: Which,
    /// Keep showing the nodes until Ctrl-C or until the lab stops.
    #[arg(long)]
    pub watch: bool,
}

/// The flags of `lab doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The output format.
    #[arg(long, value_enum, default_value_t)]
    pub format: doctor::Format,
    /// Look at this exporter binary, as `lab check` uses it.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub exporter: Option<PathBuf>,
    /// Look at this Prometheus binary, as `lab check` uses it.
    #[arg(long, value_name = "FILE", value_parser = path)]
    pub prometheus: Option<PathBuf>,
    /// Look at the Grafana in this folder, as `lab check` uses it.
    #[arg(long, value_name = "DIR", value_parser = path)]
    pub grafana_home: Option<PathBuf>,
}

/// The lab that a command is for.
#[derive(Debug, Args)]
pub struct Which {
    /// The run's id; may be omitted if there is only one.
    pub id: Option<String>,
}

#[cfg(test)]
mod tests {
    use e2e::backend::Ports;
    use e2e::workspace::project::Project;

    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_speed_needs_a_scenario() {
        let parses = |words: &str| Cli::try_parse_from(words.split(' ')).is_ok();
        assert!(!parses("lab --speed 30") && !parses("lab up --speed 30"));
        assert!(parses("lab up --scenario load-spike --speed 30") && parses("lab scenario run load-spike --speed 30"));
    }

    /// The tests take the list of arguments from the help.
    #[test]
    fn no_argument_is_hidden() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            let hidden = command.get_arguments().find(|argument| argument.is_hide_set());
            assert!(hidden.is_none(), "{hidden:?} of {}", command.get_name());
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn no_command_is_up() {
        let cli = Cli::parse_from(["lab", "--path.procfs", "/tree", "--without", "grafana"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.up.start.procfs.as_deref(), Some(std::path::Path::new("/tree")));
        assert!(cli.up.start.local(Project::default(), Ports::Any).grafana.is_none());
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
        let check = |words: &str| Cli::parse_from(["lab"].into_iter().chain(words.split(' '))).up.start.check(true);
        for flag in ["--airgap", "--image grafana=mine:1", "--keep"] {
            let name = flag.split(' ').next().unwrap();
            assert_eq!(check(flag), Err(format!("`{name}` needs `--backend kind`")));
            assert_eq!(check(&format!("{flag} --backend kind")), Ok(()));
        }
        for flag in ["--exporter /e", "--prometheus /p", "--alertmanager /a", "--grafana /g", "--grafana-home /h"] {
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
        for (text, address) in [
            ("HTTPS://p/x", "https://p/x"),
            (":9090", "http://localhost:9090"),
            ("p.example:9090/x", "http://p.example:9090/x"),
            ("[::1]:9090", "http://[::1]:9090"),
        ] {
            assert_eq!(parse(&format!("--prometheus {text}")).unwrap().unwrap().prometheus, address);
        }
        for (words, said) in [
            ("--context c", "`--context` needs `--prometheus URL`"),
            ("--prometheus http://p --grafana ./g", "`--grafana` is for a stack that `lab` starts"),
            ("--prometheus http://p --airgap", "`--airgap` is for a stack that `lab` starts"),
            ("--prometheus http://p --clusters 1 --nodes 1", "`--nodes` is for a stack that `lab` starts"),
        ] {
            assert!(parse(words).unwrap_err().contains(said), "{words}");
        }
        let refused =
            Cli::try_parse_from(["lab", "check", "--prometheus", "http://u:s3cret@p"]).unwrap_err().to_string();
        assert!(refused.contains("must not hold credentials"), "{refused}");
    }

    /// From which every refusal comes.
    #[test]
    fn every_flag_is_in_the_table_of_stacks() {
        let Some(Command::Check(check)) = Cli::parse_from(["lab", "check"]).command else { panic!("another command") };
        let listed: Vec<&str> = check.rows().iter().map(|(flag, ..)| *flag).collect();
        let any_stack = ["--only", "--skip", "--list", "--format", "--file", "--dashboards", "--rules"];
        let command = Cli::command();
        for argument in command.find_subcommand("check").unwrap().get_arguments() {
            let flag = format!("--{}", argument.get_long().unwrap());
            assert!(listed.contains(&&*flag) != any_stack.contains(&&*flag), "{flag}");
        }
    }

    #[test]
    fn what_describes_another_program_needs_a_target_and_no_exporter_of_ours() {
        let check = |words: &str| Cli::parse_from(["lab"].into_iter().chain(words.split(' '))).up.start.check(true);
        for good in ["--target :1 --target :2 --job j --scrape-interval 5s", "--target :1 --command app"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, said) in [
            ("--command app", "`--command` needs `--target HOST:PORT`, where another program is scraped"),
            ("--job j", "`--job` needs `--target HOST:PORT`, where another program is scraped"),
            (
                "--target :1 --exporter /e",
                "`--exporter` is for mini-node-exporter, and `--target` names another program",
            ),
            ("--target :1 --nodes 2", "`--nodes` is for mini-node-exporter, and `--target` names another program"),
            (
                "--target :1 --target :2 --command app",
                "`--command` starts one program: name its address with one `--target`",
            ),
            (
                "--target :1 --target :1/m",
                "`--target` names an address twice, and its series would have the same labels",
            ),
            ("--target :1 --scrape-interval 99ms", "`--scrape-interval` is at least 100ms"),
            (
                "--target :1 --job prometheus",
                "`--job prometheus` is the job in which the lab's Prometheus scrapes itself; choose another name",
            ),
            (
                "--target :1 --backend kind",
                "`--target` needs `--backend local`; a cluster runs images, see `--image NAME=REF`",
            ),
        ] {
            assert_eq!(check(bad), Err(said.into()), "{bad}");
        }
    }

    #[test]
    fn nodes_are_for_both_backends_within_the_limits_of_each() {
        let check = |words: &str| Cli::parse_from(["lab"].into_iter().chain(words.split(' '))).up.start.check(true);
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
