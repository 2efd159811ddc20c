//! The command line, with the flags that users of `node_exporter` know.

mod collectors;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Command, CommandFactory, FromArgMatches, Parser};

use crate::collector::Collector;
use crate::log::{LevelFilter, LogFormat};
use crate::procfs::{Hostname, ProcFile, ProcRoot};
use crate::server::ListenAddress;
use crate::{build_info, http};
use value::{FlagParser, parsed};

const ENDPOINTS: &str = "\
Endpoints:
  /metrics                        the exposition; collect[]=NAME and exclude[]=NAME choose collectors,
                                  name[]=METRIC chooses metrics
  /info/hostname                  the node's name, as plain text
  /info/uptime                    seconds since boot, as the kernel wrote them
  /info/load                      the load averages, as JSON
  /healthz/live, /healthz/ready   200, or 503 naming each bad file
  /                               a page with these links

Exit codes: 0 after SIGTERM or SIGINT, 1 on a startup error, 2 for a bad command line.";

/// Exposes a Linux node's hostname, uptime and load to Prometheus.
///
/// The last of several values of a flag wins, except for `--web.listen-address`, so that a component of a manifest can
/// append a flag to the existing ones.
#[derive(Parser)]
#[command(name = "mini-node-exporter", version = build_info::LONG_VERSION, after_help = ENDPOINTS, args_override_self = true)]
#[command(about = "Exposes a Linux node's hostname, uptime and load to Prometheus.", long_about = None)]
pub struct Settings {
    /// Address to listen on: IP:PORT, localhost:PORT, or :PORT for all of IPv4 and IPv6; repeatable
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "0.0.0.0:23333")]
    #[arg(value_parser = parsed::<ListenAddress>())]
    pub listen: Vec<ListenAddress>,

    /// Use systemd socket activation instead of --web.listen-address
    #[arg(long = "web.systemd-socket")]
    pub systemd_socket: bool,

    /// Configuration file: TLS, authentication, headers, rate limit; see docs/reference.md
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config: Option<PathBuf>,

    /// Additional plain HTTP address that serves only /healthz/*, for probes
    #[arg(long = "web.health-address", value_name = "ADDRESS", value_parser = parsed::<ListenAddress>())]
    pub health: Option<ListenAddress>,

    /// Regular expression of allowed CORS origins; fully anchored
    #[arg(long = "web.cors.origin", value_name = "REGEX", value_parser = parsed::<http::AllowedOrigins>())]
    pub cors: Option<http::AllowedOrigins>,

    /// Path under which to expose metrics
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = http::TelemetryPath::DEFAULT)]
    #[arg(value_parser = parsed::<http::TelemetryPath>())]
    pub telemetry_path: http::TelemetryPath,

    /// Maximum number of concurrent scrapes; 0 for no limit
    #[arg(long = "web.max-requests", value_name = "COUNT", default_value_t = http::ExporterOptions::MAX_REQUESTS)]
    #[arg(value_parser = parsed::<usize>())]
    pub max_requests: usize,

    /// Omit process_*, the metrics about the exporter itself
    #[arg(long = "web.disable-exporter-metrics")]
    pub disable_exporter_metrics: bool,

    /// Root of the procfs tree to read
    #[arg(long = "path.procfs", value_name = "DIR", default_value = ProcRoot::KERNEL)]
    pub procfs: PathBuf,

    /// Name of the node; the hostname in the procfs tree by default
    #[arg(long = "node-name", value_name = "NAME", env = "NODE_NAME", hide_env_values = true)]
    #[arg(value_parser = FlagParser(node_name))]
    pub node_name: Option<String>,

    /// Log messages of this level and above: debug, info, warn or error
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", value_parser = FlagParser(log_level))]
    pub log_level: LevelFilter,

    /// Format of log messages: logfmt or json
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", value_parser = parsed::<LogFormat>())]
    pub log_format: LogFormat,

    /// The collectors to run, by the flags that each of them has.
    #[arg(skip)]
    pub collectors: Vec<&'static dyn Collector>,

    /// Where the node's name comes from: `flag`, `environment` or `procfs`.
    #[arg(skip)]
    pub node_name_from: &'static str,
}

/// Reads the arguments, of which the first is the program's name, and `NODE_NAME` from the environment.
///
/// # Errors
///
/// For a bad command line, and for `--help` and `--version`: `exit` prints each to the right stream and ends with the
/// right code, 2 or 0.
pub fn parse<I, T>(arguments: I) -> Result<Settings, Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments)?;
    let mut settings = Settings::from_arg_matches(&matches)?;
    settings.collectors = collectors::chosen(&matches);
    settings.node_name = settings.node_name.filter(|name| !name.is_empty());
    settings.node_name_from = match (&settings.node_name, matches.value_source("node_name")) {
        (None, _) => "procfs",
        (Some(_), Some(ValueSource::EnvVariable)) => "environment",
        (Some(_), _) => "flag",
    };
    Ok(settings)
}

/// The definition of the command line.
#[must_use]
pub fn command() -> Command {
    collectors::add_flags(Settings::command())
}

impl Settings {
    /// Returns the options of the endpoints.
    #[must_use]
    pub fn exporter_options(&self) -> http::ExporterOptions {
        http::ExporterOptions {
            procfs: self.procfs.clone(),
            node_name: self.node_name.clone(),
            collectors: self.collectors.clone(),
            telemetry_path: self.telemetry_path.clone(),
            max_requests: self.max_requests,
            exporter_metrics: !self.disable_exporter_metrics,
            ..http::ExporterOptions::default()
        }
    }
}

/// Accepts `node_exporter`'s levels: [`LevelFilter`] would also parse `off`, numbers and the empty string.
fn log_level(text: &str) -> Result<LevelFilter, String> {
    match text {
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" => Ok(LevelFilter::WARN),
        "error" => Ok(LevelFilter::ERROR),
        _ => Err("expected debug, info, warn or error".to_string()),
    }
}

/// Treats an empty name as unset.
fn node_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    Hostname::parse(text).map(|name| name.0).map_err(|reason| reason.to_string())
}
