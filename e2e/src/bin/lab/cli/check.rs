//! The flags of `lab check`, for a stack that it starts or one that already runs.

use std::path::PathBuf;

use clap::Args;
use e2e::backend::existing;
use e2e::checks;
use e2e::client::access::Access;
use e2e::stack::JOB;
use e2e::terminal::report::Format;

use super::start::{Named, Part, Row, Stack, Start, path, refuse};

/// The flags of `lab check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub start: Start,
    /// Run only this check; may be repeated.
    #[arg(long, value_name = "CHECK", value_parser = check_name())]
    pub only: Vec<String>,
    /// Exclude this check; may be repeated.
    #[arg(long, value_name = "CHECK", value_parser = check_name())]
    pub skip: Vec<String>,
    /// List the checks, and what each proves.
    #[arg(long)]
    pub list: bool,
    /// The format of the report.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten, next_help_heading = "A stack that already runs")]
    pub existing: Existing,
}

/// How to reach a stack that already runs. Nothing is started or changed there.
#[derive(Debug, Args)]
pub struct Existing {
    /// kubectl context that lists the nodes, and through which exporters are reached (needs `--prometheus URL`).
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace of the exporters in that context.
    #[arg(long, value_name = "NS", default_value = "mini-node-exporter", requires = "context")]
    pub namespace: String,
    /// Send a synthetic alert to Alertmanager, which pages somebody, and see whether it is delivered (needs `--alertmanager
    /// URL`).
    #[arg(long, requires = "alertmanager")]
    pub probe_alert: bool,
    /// Credentials and certificates for Prometheus and Alertmanager, in their own format (as promtool takes it); Grafana's token comes from
    /// `GRAFANA_TOKEN`.
    #[arg(long = "http.config.file", value_name = "FILE", value_parser = path)]
    pub http_config: Option<PathBuf>,
}

impl Check {
    /// The stack that already runs, if one is meant; the error is a usage error.
    pub fn existing(&self) -> Result<Option<existing::Options>, String> {
        let (start, flags) = (&self.start, &self.existing);
        refuse(&self.rows(), start.stack())?;
        start.check_parts()?;
        let Some(prometheus) = start.prometheus.as_ref().and_then(Named::address) else { return Ok(None) };
        let access =
            flags.http_config.as_deref().map(Access::read).transpose().map_err(|error| format!("{error:#}"))?;
        let token = std::env::var("GRAFANA_TOKEN").ok().filter(|token| !token.is_empty());
        let cluster = flags.context.clone();
        Ok(Some(existing::Options {
            prometheus: prometheus.clone(),
            alertmanager: start.alertmanager.as_ref().and_then(Named::address).cloned(),
            probe_alert: flags.probe_alert,
            has_alertmanager: !start.without.contains(&Part::Alertmanager),
            grafana: start.grafana.as_ref().and_then(Named::address).cloned(),
            access: access.unwrap_or_default(),
            grafana_access: token.as_deref().map(Access::token).unwrap_or_default(),
            job: start.description.job.clone().unwrap_or_else(|| JOB.to_owned()),
            cluster: cluster.map(|context| existing::Cluster { context, namespace: flags.namespace.clone() }),
        }))
    }

    /// Every flag that is for some kind of stack only.
    pub fn rows(&self) -> Vec<Row> {
        let flags = &self.existing;
        let mut rows = self.start.rows();
        rows.extend::<[Row; 4]>([
            ("--probe-alert", flags.probe_alert, &[Stack::Existing]),
            ("--context", flags.context.is_some(), &[Stack::Existing]),
            ("--namespace", flags.context.is_some(), &[Stack::Existing]),
            ("--http.config.file", flags.http_config.is_some(), &[Stack::Existing]),
        ]);
        rows
    }
}

/// The names of the checks, which an error lists.
fn check_name() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(checks::names())
}
