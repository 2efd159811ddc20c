//! How every command that needs a stack of its own starts one.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use e2e::backend::kind::Kind;
use e2e::backend::local::{self, Local, ScenarioSetup};
use e2e::backend::{Backend, Ports, sweep};
use e2e::run::Run;
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;
use e2e::workspace::project::Project;

use crate::cli::{self, Named, Start};

/// Starts the chosen stack, whose flags were checked, after removing what killed runs left.
pub fn start(
    args: &Start,
    project: Project,
    scenario: Option<ScenarioSetup>,
    ports: Ports,
    progress: &Progress,
) -> Result<Box<dyn Backend>> {
    if let Some(root) = &args.procfs {
        ensure!(root.is_dir(), "--path.procfs {}: no such directory", root.display());
    }
    let named = [("prometheus", &args.prometheus), ("alertmanager", &args.alertmanager), ("grafana", &args.grafana)];
    expect_file("exporter", args.exporter.as_ref())?;
    for (flag, named) in named {
        expect_file(flag, named.as_ref().and_then(Named::file))?;
    }
    interrupt::listen()?;
    sweep::sweep(progress);
    Ok(match args.backend {
        cli::Backend::Local => {
            let options = local::Options { scenario, ..args.local(project, ports) };
            Box::new(Local::start(&options, Run::create("local")?, progress)?)
        }
        cli::Backend::Kind => Box::new(Kind::start(&args.kind(&project, ports)?, progress)?),
    })
}

/// Fails where a flag names a file that does not exist, before anything is built.
pub fn expect_file(flag: &str, file: Option<&PathBuf>) -> Result<()> {
    match file {
        Some(file) if !file.is_file() => bail!("--{flag} {}: no such file", file.display()),
        _ => Ok(()),
    }
}
