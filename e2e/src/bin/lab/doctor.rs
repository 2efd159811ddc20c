//! `lab doctor`: what each backend needs, what is installed, and how to get the rest. It only reports: its exit code is 0
//! whatever is missing.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use e2e::backend::kind::{airgap, privileges};
use e2e::backend::local;
use e2e::docker::Docker;
use e2e::process::command::Cmd;
use e2e::terminal::exit::Exit;
use e2e::terminal::out;
use e2e::tools::{self, Found, Tool};
use serde::Serialize;

use crate::cli::Doctor;

/// How it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: an array with an object for each need.
    Json,
}

/// A need, and what was seen of it.
#[derive(Serialize)]
struct Seen {
    #[serde(rename = "for")]
    what_for: &'static str,
    needs: &'static str,
    state: &'static str,
    /// What is there, or how to get it.
    about: String,
}

/// What something needs, and the one command that gets it.
struct Need {
    what_for: &'static str,
    program: Program,
    fix: &'static str,
}

enum Program {
    /// One that the harness also searches for in its cache, and whose version matters.
    Tool(Tool),
    /// One that a flag names.
    Named(Tool, PathBuf),
    /// An exporter that a flag names.
    Exporter(PathBuf),
    /// One that has to be on `PATH`, and how it prints its version.
    OnPath(&'static str, &'static [&'static str]),
}

fn needs(args: &Doctor) -> Result<Vec<Need>> {
    let tool = |tool, named: Option<PathBuf>| named.map_or(Program::Tool(tool), |path| Program::Named(tool, path));
    let grafana = args.grafana_home.as_deref().map(local::grafana_in).transpose()?;
    let exporter = args.exporter.clone().map(|path| ("local", Program::Exporter(path), ""));
    let rows = [
        ("everything", Program::OnPath("cargo", &["--version"]), "install Rust, see https://rustup.rs"),
        ("downloads", Program::OnPath("tar", &["--version"]), "install `tar`"),
        ("local", tool(Tool::Prometheus, args.prometheus.clone()), "`cargo lab check --without grafana` downloads it"),
        ("local, optional", tool(Tool::Grafana, grafana), "`cargo lab` downloads it"),
        ("kind", Program::OnPath("docker", &["version", "--format", "{{.Server.Version}}"]), "install Docker"),
        ("kind", Program::Tool(Tool::Kind), "`cargo lab check --backend kind` downloads it"),
        ("kind, tests", Program::Tool(Tool::Kubectl), "`cargo test` downloads it"),
        ("tests", Program::Tool(Tool::Promtool), "`cargo test` downloads it"),
        ("kind --airgap", Program::OnPath("cc", &["--version"]), "install `gcc` and `libc6-dev`"),
        (
            "kind --airgap",
            Program::OnPath("go", &["env", "GOVERSION"]),
            "optional: the build of the images downloads Debian's",
        ),
    ];
    let rows = rows.into_iter().chain(exporter);
    Ok(rows.map(|(what_for, program, fix)| Need { what_for, program, fix }).collect())
}

pub fn doctor(args: &Doctor) -> Result<Exit> {
    let of_program = |need: Need| {
        let (needs, seen) = need.program.look();
        let (state, about) = match seen {
            Ok(seen) => ("ok", seen),
            Err(Trouble::Missing(reason)) => ("missing", format!("{} ({reason})", need.fix)),
            Err(Trouble::Failed(reason)) => ("failed", reason),
        };
        Seen { what_for: need.what_for, needs, state, about }
    };
    let mut seen: Vec<Seen> = needs(args)?.into_iter().map(of_program).collect();
    // One that does not answer would hold up this report a second time, and longer.
    if seen.iter().any(|seen| seen.needs == "docker" && seen.state == "ok") {
        seen.extend(of_docker());
    }
    match args.format {
        Format::Json => out::line(&serde_json::to_string_pretty(&seen)?)?,
        Format::Text => {
            let head = ["for", "needs", "state", ""].map(str::to_owned).to_vec();
            let row = |seen: Seen| vec![seen.what_for.into(), seen.needs.into(), seen.state.into(), seen.about];
            out::table(&[head].into_iter().chain(seen.into_iter().map(row)).collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Ok)
}

/// What a cluster needs of Docker beyond that it answers; nothing where it does not.
fn of_docker() -> impl Iterator<Item = Seen> {
    let capabilities = if privileges::are_limited() {
        ("handled", "root lacks CAP_SYS_RESOURCE; `kind` gets a `docker` that requests all the others")
    } else {
        ("ok", "")
    };
    let rows = Docker::find().ok().map(|docker| {
        let cgroup = if docker.has_cgroup_v1() {
            ("ok", "version 1")
        } else {
            ("missing", "only version 1 is tested; run without `--airgap`")
        };
        let images = if airgap::is_built() {
            ("ok", "")
        } else {
            ("missing", "`cargo lab images build --airgap` builds them once, in about ten minutes")
        };
        [("kind", "privileges", capabilities), ("kind --airgap", "cgroup", cgroup), ("kind --airgap", "images", images)]
    });
    rows.into_iter().flatten().map(|(what_for, needs, (state, about))| Seen {
        what_for,
        needs,
        state,
        about: about.into(),
    })
}

/// Why a program cannot be used.
enum Trouble {
    /// It is not there, or cannot do what is needed.
    Missing(String),
    /// It is there and does not work.
    Failed(String),
}

impl Program {
    /// The program's name, and what is there or why it cannot be used.
    fn look(&self) -> (&'static str, Result<String, Trouble>) {
        let shown = |found: Found| format!("{}: {}", found.summary(), found.path.display());
        match self {
            Self::Tool(tool) => {
                let found = tools::find_present(*tool).map(shown);
                (tool.name(), found.map_err(|error| Trouble::Missing(format!("{error:#}"))))
            }
            Self::Named(tool, path) => {
                let found = tools::named(*tool, path).map(shown);
                (tool.name(), found.map_err(|error| Trouble::Failed(format!("{error:#}"))))
            }
            Self::Exporter(path) => ("exporter", asked(&path.display().to_string(), &["--version"])),
            Self::OnPath(name, args) => (name, asked(name, args)),
        }
    }
}

fn asked(program: &str, args: &[&str]) -> Result<String, Trouble> {
    let asked = Cmd::new(program).args(args).limit(Duration::from_secs(5)).read();
    asked.map(|said| version(&said)).map_err(|error| {
        let reason = error.reason();
        if error.not_found() { Trouble::Missing(reason) } else { Trouble::Failed(reason) }
    })
}

/// The start of what a program prints as its version: the rest of the line names its libraries.
fn version(said: &str) -> String {
    said.lines().next().unwrap_or_default().split(" (").next().unwrap_or_default().to_owned()
}
