//! `lab doctor`: what each backend needs, what is there, and how to get the rest.
//!
//! Its exit code is 0 whatever is missing, for it only reports. `lab check` says whether a backend
//! works.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use e2e::backend::kind::{airgap, privileges};
use e2e::docker::Docker;
use e2e::process::command::Cmd;
use e2e::terminal::exit::Exit;
use e2e::terminal::out;
use e2e::tools::{self, Tool};
use serde::Serialize;

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
    /// One that the harness looks for in its cache too, and whose version matters.
    Tool(Tool),
    /// One that has to be on `PATH`, and how it is made to say its version.
    OnPath(&'static str, &'static [&'static str]),
}

const NEEDS: &[Need] = &[
    Need {
        what_for: "everything",
        program: Program::OnPath("cargo", &["--version"]),
        fix: "install Rust, as https://rustup.rs says",
    },
    Need {
        what_for: "local",
        program: Program::Tool(Tool::Prometheus),
        fix: "`cargo lab check --without grafana` fetches it",
    },
    Need {
        what_for: "local, optional",
        program: Program::Tool(Tool::Grafana),
        fix: "`cargo lab` fetches it where its download can be reached",
    },
    Need { what_for: "to fetch these", program: Program::OnPath("curl", &["--version"]), fix: "install `curl`" },
    Need {
        what_for: "or these instead",
        program: Program::OnPath("apt-get", &["--version"]),
        fix: "only Debian and its relatives have it",
    },
    Need {
        what_for: "kind",
        program: Program::OnPath("docker", &["version", "--format", "{{.Server.Version}}"]),
        fix: "install Docker and start its daemon",
    },
    Need {
        what_for: "kind",
        program: Program::Tool(Tool::Kind),
        fix: "`cargo lab check --backend kind` fetches it from Debian; elsewhere `go install sigs.k8s.io/kind@latest`",
    },
    Need { what_for: "kind, tests", program: Program::Tool(Tool::Kubectl), fix: "`cargo test` fetches it" },
    Need { what_for: "tests", program: Program::Tool(Tool::Promtool), fix: "`cargo test` fetches it" },
];

pub fn doctor(format: Format) -> Result<Exit> {
    let of_program = |need: &Need| {
        let (needs, seen) = need.program.look();
        let (state, about) = match seen {
            Ok(seen) => ("ok", seen),
            Err(reason) => ("missing", format!("{} ({reason})", need.fix)),
        };
        Seen { what_for: need.what_for, needs, state, about }
    };
    let seen: Vec<Seen> = NEEDS.iter().map(of_program).chain(of_docker()).collect();
    match format {
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
        ("handled", "root lacks CAP_SYS_RESOURCE, so `kind` gets a `docker` that asks for all the others")
    } else {
        ("ok", "")
    };
    let rows = Docker::find().ok().map(|docker| {
        let cgroup = if docker.has_cgroup_v1() {
            ("ok", "version 1")
        } else {
            ("missing", "only version 1 has been proved: run without `--airgap`")
        };
        let images = if airgap::is_built() {
            ("ok", "")
        } else {
            ("missing", "`cargo lab images build --airgap` makes them, once, in about ten minutes")
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

impl Program {
    /// The program's name, and what is there or why it does not count.
    fn look(&self) -> (&'static str, Result<String, String>) {
        match self {
            Self::Tool(tool) => {
                let found = tools::find_present(*tool);
                let said = found.map(|found| format!("{}: {}", found.summary(), found.path.display()));
                (tool.name(), said.map_err(|error| format!("{error:#}")))
            }
            Self::OnPath(name, args) => {
                let asked = Cmd::new(name).args(*args).limit(Duration::from_secs(5)).read();
                let said = asked.map(|said| version(&said));
                (name, said.map_err(|error| error.reason()))
            }
        }
    }
}

/// The start of what a program says of itself: the rest of the line names its libraries.
fn version(said: &str) -> String {
    said.lines().next().unwrap_or_default().split(" (").next().unwrap_or_default().to_owned()
}
