//! The local Grafana: its home, however it was installed, and its start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fs_err as fs;
use fs_err::os::unix::fs::symlink;

use super::{DATASOURCE, find_optional, free, on_a_free_port};
use crate::backend::Ports;
use crate::client::grafana::Grafana;
use crate::process::child::Process;
use crate::process::log;
use crate::run::Run;
use crate::stack::Part;
use crate::terminal::progress::Progress;
use crate::tools::Tool;
use crate::workspace;
use crate::workspace::dashboard::Dashboard;

/// Which Grafana is wanted.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// One that can be found.
    Any,
    /// The one with this program.
    Program(PathBuf),
    /// The one with this home: the folder that holds `conf` and `public`.
    Home(PathBuf),
}

/// An installed Grafana.
pub(super) struct Home {
    program: PathBuf,
    /// The folder that holds `conf` and `public`.
    dir: PathBuf,
}

/// Looks for Grafana. Not finding it is an error only where one was named.
pub(super) fn find(wanted: Option<&Wanted>, progress: &Progress) -> Result<Part<Home>> {
    let program = match wanted {
        None => return Ok(Part::Omitted),
        Some(Wanted::Home(dir)) => {
            let flag = || format!("--grafana-home {}", dir.display());
            let dir = fs::canonicalize(dir).with_context(flag)?;
            let program = grafana_in(&dir)?;
            return Ok(Part::Here(Home { program, dir }));
        }
        Some(Wanted::Program(path)) => find_optional(Tool::Grafana, Some(path), progress)?,
        Some(Wanted::Any) => find_optional(Tool::Grafana, None, progress)?,
    };
    program.try_map(|program| {
        let dir = home_of(&program).with_context(|| {
            format!(
                "{}: no folder with conf/defaults.ini belongs to it; name it with `--grafana-home DIR`",
                program.display()
            )
        })?;
        Ok(Home { program: program_in(&dir).unwrap_or(program), dir })
    })
}

/// Starts Grafana, provisioned from the workspace's one copy and with these dashboards, and waits until it is healthy.
pub(super) fn start(
    home: &Home,
    dashboards: &[Dashboard],
    prometheus: &str,
    scrape_interval: Duration,
    ports: Ports,
    progress: &Progress,
    run: &Run,
) -> Result<(Process, Grafana)> {
    progress.step("start Grafana", |_| {
        provision(&run.dir().join(PROVISIONING))?;
        let first = link(dashboards, &run.dir().join(DASHBOARDS))?;
        let (process, address) = on_a_free_port(ports, 3000, progress, |port| {
            let log = run.dir().join("grafana.log");
            let args = args(&home.program, &home.dir);
            let mut env = env(run, prometheus, scrape_interval, port);
            env.extend(
                first.clone().map(|first| ("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", first.into_os_string())),
            );
            let process = Process::start("grafana", &home.program, &args, &env, log)?;
            Ok((process, "HTTP Server Listen"))
        })?;
        let grafana = Grafana::new(format!("http://{address}"));
        process.wait_until("healthy", Duration::from_secs(60), || grafana.healthy().map(drop))?;
        Ok((process, grafana))
    })
}

fn args(program: &Path, home: &Path) -> Vec<OsString> {
    let mut homepath = OsString::from("--homepath=");
    homepath.push(home);
    let server = program.file_name().is_some_and(|name| name == "grafana").then(|| "server".into());
    server.into_iter().chain([homepath]).collect()
}

/// Its provisioning, in the run's directory.
const PROVISIONING: &str = "grafana/provisioning";

/// Its dashboards, in the run's directory.
const DASHBOARDS: &str = "grafana/dashboards";

/// Links the workspace's provisioning, and makes the folders that Grafana would log as missing.
fn provision(dir: &Path) -> Result<()> {
    for empty in ["alerting", "notifiers", "plugins"] {
        fs::create_dir_all(dir.join(empty))?;
    }
    for ours in ["dashboards", "datasources"] {
        symlink(workspace::shipped(PROVISIONING)?.join(ours), dir.join(ours))?;
    }
    Ok(())
}

/// Links the dashboards, whose files Grafana reads again when they change, and writes those that have to be imported;
/// returns the first one.
fn link(dashboards: &[Dashboard], dir: &Path) -> Result<Option<PathBuf>> {
    fs::create_dir_all(dir)?;
    let links = dashboards.iter().map(|dashboard| {
        let link = free(dir, &dashboard.path, &["json"]);
        match dashboard.imported(DATASOURCE) {
            Some(model) => fs::write(&link, model.to_string())?,
            None => symlink(&dashboard.path, &link)?,
        }
        Ok(link)
    });
    Ok(links.collect::<Result<Vec<_>>>()?.into_iter().next())
}

/// The lines of a log that help after a failed check: first those about provisioning, whenever they were logged, then those
/// after `started` bytes, when the checks began.
pub(super) fn complaints(log: &str, started: usize) -> Vec<String> {
    let is_named = |line: &&str| {
        let line = line.to_lowercase();
        ["datasource", "data source", "dashboard", "provider"].iter().any(|name| line.contains(name))
    };
    let named = log::complaints(&log.lines().filter(is_named).collect::<Vec<_>>().join("\n"));
    let later = log::complaints(log.get(started..).unwrap_or_default());
    let mut lines = named;
    lines.extend(later.into_iter().filter(|line| !is_named(&line.as_str())));
    lines
}

fn env(run: &Run, prometheus: &str, scrape_interval: Duration, port: u16) -> Vec<(&'static str, OsString)> {
    let own = |name: &str| run.dir().join("grafana").join(name).into_os_string();
    let mut env = vec![
        ("GF_PATHS_DATA", own("data")),
        ("GF_PATHS_LOGS", own("logs")),
        ("GF_PATHS_PLUGINS", own("plugins")),
        ("GF_PATHS_PROVISIONING", run.dir().join(PROVISIONING).into_os_string()),
        ("DASHBOARDS_DIR", run.dir().join(DASHBOARDS).into_os_string()),
        ("PROMETHEUS_URL", prometheus.into()),
        ("SCRAPE_INTERVAL", humantime::format_duration(scrape_interval).to_string().into()),
        ("GF_SERVER_HTTP_PORT", port.to_string().into()),
    ];
    env.extend(FIXED.iter().map(|&(name, value)| (name, value.into())));
    env
}

/// Loopback, a viewer without a login, no admin with a known password, and no requests to other hosts.
const FIXED: &[(&str, &str)] = &[
    ("GF_SERVER_HTTP_ADDR", "127.0.0.1"),
    ("GF_LOG_MODE", "console"),
    ("GF_LOG_CONSOLE_FORMAT", "text"),
    ("GF_AUTH_ANONYMOUS_ENABLED", "true"),
    ("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer"),
    ("GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION", "true"),
    ("GF_USERS_ALLOW_SIGN_UP", "false"),
    ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
    ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
    ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
    ("GF_NEWS_NEWS_FEED_ENABLED", "false"),
    ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
    ("GF_PLUGINS_PREINSTALL_AUTO_UPDATE", "false"),
    ("GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED", "true"),
    ("GF_SECURITY_DISABLE_GRAVATAR", "true"),
    ("GF_SNAPSHOTS_EXTERNAL_ENABLED", "false"),
];

/// The program in a home, which `--grafana-home` names.
pub fn grafana_in(home: &Path) -> Result<PathBuf> {
    program_in(home).with_context(|| format!("--grafana-home {}: it has no bin/grafana", home.display()))
}

/// A home's own program: `grafana`, or `grafana-server` before Grafana 9.4.
fn program_in(home: &Path) -> Option<PathBuf> {
    ["bin/grafana", "bin/grafana-server"].iter().map(|name| home.join(name)).find(|path| path.is_file())
}

/// The home that belongs to a program: the folder above `bin` in a release tarball, `share/grafana` beside it with
/// Homebrew, and `/usr/share/grafana` in Debian-style packages.
fn home_of(program: &Path) -> Option<PathBuf> {
    let program = fs::canonicalize(program).ok()?;
    let above = program.parent()?.parent()?;
    [above.to_owned(), above.join("share/grafana"), PathBuf::from("/usr/share/grafana")]
        .into_iter()
        .find(|home| home.join("conf/defaults.ini").is_file())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn touch(path: &Path) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::canonicalize(path).unwrap()
    }

    #[test]
    fn each_layout_has_its_home() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let tarball = touch(&root.join("grafana-9.9.9/bin/grafana"));
        touch(&root.join("grafana-9.9.9/conf/defaults.ini"));
        assert_eq!(home_of(&tarball), Some(root.join("grafana-9.9.9")));
        let homebrew = touch(&root.join("Cellar/grafana/9.9.9/bin/grafana"));
        touch(&root.join("Cellar/grafana/9.9.9/share/grafana/conf/defaults.ini"));
        assert_eq!(home_of(&homebrew), Some(root.join("Cellar/grafana/9.9.9/share/grafana")));
    }

    #[test]
    fn a_grafana_here_is_as_quiet_as_one_in_a_cluster() {
        let file = workspace::root().join("kustomize/grafana/deployment.yaml");
        let deployment: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
        let settings: Vec<(&str, &str)> = variables
            .iter()
            .map(|variable| (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap()))
            .filter(|(name, _)| name.starts_with("GF_") && *name != "GF_SECURITY_ADMIN_PASSWORD__FILE")
            .collect();
        assert!(!settings.is_empty());
        for setting in settings {
            assert!(FIXED.contains(&setting), "{setting:?} is set only in the cluster");
        }
    }

    /// As a real Grafana 9.4 logged them.
    #[test]
    fn the_cause_comes_before_the_noise_of_the_start() {
        let start = "logger=plugin.finder level=warn msg=\"Skipping finding plugins\"\n\
                     logger=provisioning.dashboard level=error msg=\"failed to load dashboard from\" file=a.json\n";
        let later = "logger=tsdb.prometheus level=error msg=\"Error received\" error=\"connection refused\"\n";
        let shown = complaints(&format!("{start}{later}"), start.len());
        let lines: Vec<&str> = start.lines().skip(1).chain(later.lines()).collect();
        assert_eq!(shown, lines);
    }

    #[test]
    fn it_listens_on_loopback_alone_and_misses_no_folder() {
        let state = tempfile::tempdir().unwrap();
        let run = Run::create_in(state.path().into(), "local").unwrap();
        let env = env(&run, "http://127.0.0.1:1", Duration::from_secs(10), 3000);
        let value = |name: &str| env.iter().find(|(own, _)| *own == name).map(|(_, value)| value.to_str().unwrap());
        let address: std::net::IpAddr = value("GF_SERVER_HTTP_ADDR").unwrap().parse().unwrap();
        assert!(address.is_loopback());
        assert_eq!(value("SCRAPE_INTERVAL"), Some("10s"));
        provision(&run.dir().join(PROVISIONING)).unwrap();
        let dir = Path::new(value("GF_PATHS_PROVISIONING").unwrap());
        for folder in ["alerting", "dashboards", "datasources", "notifiers", "plugins"] {
            assert!(dir.join(folder).is_dir(), "{folder}");
        }
        assert!(dir.join("datasources/prometheus.yaml").is_file());
    }

    #[test]
    fn every_dashboard_is_linked_whatever_its_file_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| {
            let file = touch(&dir.path().join(name));
            fs::write(&file, format!(r#"{{"uid": "u", "title": "{name}"}}"#)).unwrap();
            Dashboard::read(&file).unwrap()
        };
        let to = dir.path().join("linked");
        let first = link(&["a/x.json", "b/x.json", "c/y"].map(read), &to).unwrap();
        assert_eq!(first, Some(to.join("x.json")));
        for (name, title) in [("x.json", "a/x.json"), ("2-x.json", "b/x.json"), ("y.json", "c/y")] {
            assert_eq!(Dashboard::read(&to.join(name)).unwrap().title, title);
        }
        assert_eq!(link(&[], &dir.path().join("none")).unwrap(), None);
    }

    /// As Grafana's API, an export for others and a Kubernetes object have it.
    #[test]
    fn grafana_is_given_the_dashboard_that_a_file_wraps() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str, text: &str| {
            let file = dir.path().join(name);
            fs::write(&file, text).unwrap();
            Dashboard::read(&file).unwrap()
        };
        let inputs = r#"[{"name": "DS_P", "type": "datasource", "pluginId": "prometheus"},
            {"name": "DS_L", "type": "datasource", "pluginId": "loki"}, {"name": "VAR_V", "type": "constant", "value": "\"v\""}]"#;
        let panels = r#"[{"datasource": "${DS_P}"}, {"datasource": {"uid": "${DS_L}"}, "title": "${VAR_V}"}]"#;
        let dashboards = [
            read("api.json", r#"{"dashboard": {"uid": "u", "title": "t"}, "meta": {}}"#),
            read("object.json", r#"{"metadata": {"name": "n"}, "spec": {"title": "t"}}"#),
            read("export.json", &format!(r#"{{"__inputs": {inputs}, "title": "t", "panels": {panels}}}"#)),
        ];
        let to = dir.path().join("linked");
        link(&dashboards, &to).unwrap();
        for (name, model) in [
            ("api.json", json!({ "uid": "u", "title": "t" })),
            ("object.json", json!({ "uid": "n", "title": "t" })),
            (
                "export.json",
                json!({ "title": "t", "panels": [{ "datasource": DATASOURCE }, { "datasource": { "uid": "${DS_L}" }, "title": "\"v\"" }] }),
            ),
        ] {
            let text = fs::read_to_string(to.join(name)).unwrap();
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), model);
        }
    }

    #[test]
    fn the_subcommand_is_only_for_the_new_program() {
        let home = Path::new("/g");
        assert_eq!(args(Path::new("/g/bin/grafana"), home), ["server", "--homepath=/g"]);
        assert_eq!(args(Path::new("/g/bin/grafana-server"), home), ["--homepath=/g"]);
    }
}
