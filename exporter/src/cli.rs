//! The command line, with the flags that users of `node_exporter` know.

mod collectors;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use tracing::level_filters::LevelFilter;

use crate::log::{Format, Log};
use crate::procfs::{Hostname, ProcFile};
use crate::server::ListenAddress;
use crate::{build, http};
use value::Checked;

/// What the command line asks for.
pub struct Settings {
    /// Where to listen, at least one address.
    pub listen: Vec<ListenAddress>,
    /// Listen on what systemd passes instead.
    pub systemd_socket: bool,
    /// Where to answer about health alone, without TLS.
    pub health: Option<ListenAddress>,
    /// The file that says who may connect and who may ask.
    pub web_config: Option<PathBuf>,
    /// Whose web pages may read the answers; without it, nobody's.
    pub cors: Option<http::Origins>,
    /// What the endpoints answer from.
    pub http: http::Options,
    /// Where the node's name comes from: `flag`, `environment` or `procfs`.
    pub node_name_from: &'static str,
    /// What is logged, and how.
    pub log: Log,
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
    // Each flag has its default in clap, so that what follows `unwrap_or` is never used; it is the same all the same.
    let defaults = http::Options::default();
    let http = http::Options {
        procfs: value(&matches, PROCFS).unwrap_or(defaults.procfs),
        node_name: value::<String>(&matches, NODE_NAME).filter(|name| !name.is_empty()),
        collectors: collectors::chosen(&matches),
        telemetry_path: value(&matches, TELEMETRY_PATH).unwrap_or(defaults.telemetry_path),
        max_requests: value(&matches, MAX_REQUESTS).unwrap_or(defaults.max_requests),
        exporter_metrics: !matches.get_flag(DISABLE_EXPORTER_METRICS),
        reader: defaults.reader,
    };
    let log = Log {
        level: value(&matches, LOG_LEVEL).unwrap_or(LevelFilter::INFO),
        format: value(&matches, LOG_FORMAT).unwrap_or_default(),
    };
    let node_name_from = match (&http.node_name, matches.value_source(NODE_NAME)) {
        (None, _) => "procfs",
        (Some(_), Some(ValueSource::EnvVariable)) => "environment",
        (Some(_), _) => "flag",
    };
    let listen = matches.get_many(LISTEN_ADDRESS).unwrap_or_default().copied().collect();
    let (health, web_config) = (value(&matches, HEALTH_ADDRESS), value(&matches, WEB_CONFIG));
    let systemd_socket = matches.get_flag(SYSTEMD_SOCKET);
    let cors = value(&matches, CORS_ORIGIN);
    Ok(Settings { listen, systemd_socket, health, web_config, cors, http, node_name_from, log })
}

const LISTEN_ADDRESS: &str = "web.listen-address";
const WEB_CONFIG: &str = "web.config.file";
const HEALTH_ADDRESS: &str = "web.health-address";
const SYSTEMD_SOCKET: &str = "web.systemd-socket";
const CORS_ORIGIN: &str = "web.cors.origin";
const TELEMETRY_PATH: &str = "web.telemetry-path";
const MAX_REQUESTS: &str = "web.max-requests";
const DISABLE_EXPORTER_METRICS: &str = "web.disable-exporter-metrics";
const PROCFS: &str = "path.procfs";
const NODE_NAME: &str = "node-name";
const LOG_LEVEL: &str = "log.level";
const LOG_FORMAT: &str = "log.format";

const ABOUT: &str = "Exposes a Linux node's hostname, uptime and load to Prometheus.";
const ENDPOINTS: &str = "\
Endpoints:
  /metrics                        the exposition; collect[]=NAME and exclude[]=NAME choose collectors,
                                  name[]=METRIC chooses metrics
  /info/hostname                  the node's name, as plain text
  /info/uptime                    seconds since boot, as the kernel wrote them
  /info/load                      the load averages, as JSON
  /healthz/live, /healthz/ready   200, or 503 naming each bad file
  /                               a page with these links

Exit codes: 0 after SIGTERM or SIGINT, 1 when it cannot run, 2 for a bad command line.";

/// The definition. Whatever is said twice, the later one wins: a manifest's component can append a flag to the ones that
/// are there.
#[must_use]
pub fn command() -> Command {
    let flag = |name: &'static str, value_name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value_name).help(help).overrides_with(name)
    };
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue).overrides_with(name)
    };
    let command = Command::new("mini-node-exporter")
        .version(build::LONG_VERSION)
        .about(ABOUT)
        .after_help(ENDPOINTS)
        .arg(
            Arg::new(LISTEN_ADDRESS)
                .long(LISTEN_ADDRESS)
                .value_name("ADDRESS")
                .help("Address to listen on: IP:PORT, localhost:PORT, or :PORT for all of IPv4 and IPv6; repeatable")
                .action(ArgAction::Append)
                .default_value("0.0.0.0:23333")
                .value_parser(Checked(|text| text.parse::<ListenAddress>().map_err(|error| error.to_string()))),
        )
        .arg(switch(SYSTEMD_SOCKET, "Listen on the sockets that systemd passes, instead of an address"))
        .arg(
            flag(WEB_CONFIG, "FILE", "TLS, client certificates, passwords, headers, rate limit: see docs/reference.md")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(
            flag(HEALTH_ADDRESS, "ADDRESS", "Address for /healthz/* alone, without TLS, for probes")
                .value_parser(Checked(|text| text.parse::<ListenAddress>().map_err(|error| error.to_string()))),
        )
        .arg(
            flag(CORS_ORIGIN, "REGEX", "Origins whose web pages may read the answers; has to match a whole origin")
                .value_parser(Checked(|text| text.parse::<http::Origins>().map_err(|error| error.to_string()))),
        )
        .arg(
            flag(TELEMETRY_PATH, "PATH", "Path of the metrics")
                .default_value("/metrics")
                .value_parser(Checked(|text| text.parse::<http::TelemetryPath>().map_err(|error| error.to_string()))),
        )
        .arg(
            flag(MAX_REQUESTS, "COUNT", "Most scrapes to answer at once; 0 for no limit")
                .default_value("40")
                .value_parser(Checked(count)),
        )
        .arg(switch(DISABLE_EXPORTER_METRICS, "Leave out process_*, the metrics about the exporter itself"))
        .arg(
            flag(PROCFS, "DIR", "Root of the procfs tree to read")
                .default_value("/proc")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(
            flag(NODE_NAME, "NAME", "Name of the node; the hostname in the procfs tree by default")
                .env("NODE_NAME")
                .hide_env_values(true)
                .value_parser(Checked(node_name)),
        )
        .arg(
            flag(LOG_LEVEL, "LEVEL", "Log messages of this level and above: debug, info, warn or error")
                .default_value("info")
                .value_parser(Checked(level)),
        )
        .arg(
            flag(LOG_FORMAT, "FORMAT", "Format of log messages: logfmt or json")
                .default_value("logfmt")
                .value_parser(Checked(format)),
        );
    collectors::add_flags(command)
}

fn value<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Option<T> {
    matches.get_one::<T>(name).cloned()
}

fn count(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if digits { text.parse().ok() } else { None };
    parsed.ok_or_else(|| "expected a whole number, such as 40".to_string())
}

/// An empty name is none.
fn node_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    Hostname::parse(text).map(|name| name.0).map_err(|reason| format!("not a node name: {reason}"))
}

fn level(text: &str) -> Result<LevelFilter, String> {
    match text {
        "debug" => Ok(LevelFilter::DEBUG),
        "info" => Ok(LevelFilter::INFO),
        "warn" => Ok(LevelFilter::WARN),
        "error" => Ok(LevelFilter::ERROR),
        _ => Err("expected debug, info, warn or error".to_string()),
    }
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "logfmt" => Ok(Format::Logfmt),
        "json" => Ok(Format::Json),
        _ => Err("expected logfmt or json".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_flags_the_endpoints_answer_from_the_default() {
        let parsed = parse(["mini-node-exporter"]).unwrap().http;
        let default = http::Options::default();
        assert_eq!(parsed.procfs, default.procfs);
        assert_eq!(parsed.telemetry_path, default.telemetry_path);
        assert_eq!(parsed.max_requests, default.max_requests);
        assert_eq!(parsed.exporter_metrics, default.exporter_metrics);
        let names = |config: &http::Options| config.collectors.iter().map(|one| one.name()).collect::<Vec<_>>();
        assert_eq!(names(&parsed), names(&default));
    }

    #[test]
    fn every_level_is_what_its_name_says() {
        for (name, level) in [
            ("debug", LevelFilter::DEBUG),
            ("info", LevelFilter::INFO),
            ("warn", LevelFilter::WARN),
            ("error", LevelFilter::ERROR),
        ] {
            assert_eq!(parse(["mini-node-exporter", "--log.level", name]).unwrap().log.level, level, "{name}");
        }
    }
}
