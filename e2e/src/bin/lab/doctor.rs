//! `lab doctor`: what each backend needs, what is installed, and how to get the rest. It only reports: its exit code is 0
//! whatever is missing.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use e2e::backend::kind::{airgap, privileges};
use e2e::backend::local;
use e2e::docker::Docker;
use e2e::process::command::Cmd;
use e2e::terminal::exit::Exit;
use e2e::terminal::out;
use e2e::tools::{self, Tool};
use e2e::workspace;
use serde::Serialize;

use crate::cli::Doctor;

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: an array with an object for each need.
    Json,
}

/// Something that is needed, and what was found.
#[derive(Serialize)]
struct Row {
    #[serde(rename = "for")]
    what_for: &'static str,
    needs: &'static str,
    state: &'static str,
    /// What is there, or how to get it.
    about: String,
}

/// Why a program cannot be used.
enum Trouble {
    /// It is not there, or too old.
    Missing(String),
    /// It is there and does not work.
    Failed(String),
}

impl Row {
    /// The row of a program; `fix` gets a missing one.
    fn new(what_for: &'static str, needs: &'static str, found: Result<String, Trouble>, fix: &str) -> Self {
        let (state, about) = match found {
            Ok(found) => ("ok", found),
            Err(Trouble::Missing(reason)) => ("missing", format!("{fix} ({reason})")),
            Err(Trouble::Failed(reason)) => ("failed", reason),
        };
        Self { what_for, needs, state, about }
    }
}

pub fn doctor(args: &Doctor) -> Result<Exit> {
    let mut rows = programs(args)?;
    // One that does not answer would delay this report a second time, and longer.
    if rows.iter().any(|row| row.needs == "docker" && row.state == "ok") {
        rows.extend(of_docker());
    }
    match args.format {
        Format::Json => out::line(&serde_json::to_string_pretty(&rows)?)?,
        Format::Text => {
            let head = ["for", "needs", "state", ""].map(str::to_owned).to_vec();
            let cells = |row: Row| vec![row.what_for.into(), row.needs.into(), row.state.into(), row.about];
            out::table(&[head].into_iter().chain(rows.into_iter().map(cells)).collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Ok)
}

fn programs(args: &Doctor) -> Result<Vec<Row>> {
    let on_path = |what_for, name, args: &[&str], fix| Row::new(what_for, name, ask(name, args), fix);
    let tool =
        |what_for, tool: Tool, named: Option<&Path>, fix: &str| Row::new(what_for, tool.name(), find(tool, named), fix);
    let grafana = args.grafana_home.as_deref().map(local::grafana_in).transpose()?;
    let docker = ["version", "--format", "{{.Server.Version}}"];
    let lab = workspace::lab();
    let downloads = format!("`{lab} check --without grafana` downloads it");
    let mut rows = vec![
        on_path("everything", "cargo", &["--version"], "install Rust, see https://rustup.rs"),
        on_path("downloads", "tar", &["--version"], "install `tar`"),
        tool("local", Tool::Prometheus, args.prometheus.as_deref(), &downloads),
        tool("local, optional", Tool::Alertmanager, None, &format!("`{lab}` downloads it")),
        tool("local, optional", Tool::Grafana, grafana.as_deref(), &format!("`{lab}` downloads it")),
        on_path("kind", "docker", &docker, "install Docker"),
        tool("kind", Tool::Kind, None, "`cargo lab check --backend kind` downloads it"),
        tool("kind, tests", Tool::Kubectl, None, "`cargo test` downloads it"),
        tool("local, tests", Tool::Promtool, None, &downloads),
        on_path(
            "kind --airgap",
            "apt-get",
            &["--version"],
            "build the images on a Debian, an Ubuntu or another relative",
        ),
        on_path("kind --airgap", "dpkg-deb", &["--version"], "install `dpkg`"),
        on_path("kind --airgap", "cc", &["--version"], "install `gcc` and `libc6-dev`"),
        on_path("kind --airgap", "go", &["env", "GOVERSION"], "optional: the build of the images downloads Debian's"),
    ];
    if workspace::checkout().is_none() {
        rows.retain(|row| row.what_for.starts_with("local") || row.what_for == "downloads");
    }
    if let Some(exporter) = &args.exporter {
        rows.push(Row::new("local", "exporter", ask(&exporter.display().to_string(), &["--version"]), ""));
    }
    Ok(rows)
}

/// What a cluster needs of a Docker that answers.
fn of_docker() -> Vec<Row> {
    let Ok(docker) = Docker::find("docker") else { return Vec::new() };
    let privileges = if privileges::are_limited() {
        ("handled", "root lacks CAP_SYS_RESOURCE; `kind` gets a `docker` that requests all the others".into())
    } else {
        ("ok", String::new())
    };
    let cgroup = if docker.has_cgroup_v1() {
        ("ok", "version 1".into())
    } else {
        ("missing", "only version 1 is tested; run without `--airgap`".into())
    };
    let images = match airgap::is_built() {
        Ok(true) => ("ok", String::new()),
        Ok(false) => ("missing", "`cargo lab images build --airgap` builds them once, in about ten minutes".into()),
        Err(error) => ("failed", format!("{error:#}")),
    };
    [("kind", "privileges", privileges), ("kind --airgap", "cgroup", cgroup), ("kind --airgap", "images", images)]
        .map(|(what_for, needs, (state, about))| Row { what_for, needs, state, about })
        .into()
}

/// The tool that a flag names, or else one that is on `PATH` or in the cache.
fn find(tool: Tool, named: Option<&Path>) -> Result<String, Trouble> {
    let found = match named {
        Some(path) => tools::named(tool, path).map_err(|error| Trouble::Failed(format!("{error:#}")))?,
        None => tools::find_present(tool).map_err(|error| Trouble::Missing(format!("{error:#}")))?,
    };
    Ok(format!("{}: {}", found.summary(), found.path.display()))
}

/// The version that a program prints, without the libraries that some name after it.
fn ask(program: &str, args: &[&str]) -> Result<String, Trouble> {
    let asked = Cmd::new(program).args(args).limit(Duration::from_secs(5)).read();
    let said = asked.map_err(|error| {
        let reason = error.reason();
        if error.not_found() { Trouble::Missing(reason) } else { Trouble::Failed(reason) }
    })?;
    Ok(said.lines().next().unwrap_or_default().split(" (").next().unwrap_or_default().to_owned())
}
