//! What `lab check` runs, on a stack of its own or on one that runs already.

use std::path::PathBuf;

use clap::Args;
use e2e::backend::existing;
use e2e::checks;
use e2e::checks::report::Format;
use e2e::client::access::Access;
use e2e::stack;

use super::{Backend, Named, Start, path};

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
    /// Check these rules (*.yml, *.yaml) instead of ours.
    #[arg(long, value_name = "DIR", value_parser = path)]
    pub rules: Option<PathBuf>,
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

/// The names of the checks, which an error lists.
fn check_name() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(checks::names())
}
