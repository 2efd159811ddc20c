//! How every command that needs a stack of its own starts one.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use e2e::backend::kind::Kind;
use e2e::backend::local::{self, Local, ScenarioSetup};
use e2e::backend::{Backend, Ports, sweep};
use e2e::checks::Subject;
use e2e::terminal::exit::Usage;
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;
use e2e::workspace::shipped::Shipped;

use crate::cli::{self, Named, Start};

/// A running stack, and the files that it is held against.
pub struct Started {
    pub backend: Box<dyn Backend>,
    pub shipped: Shipped,
}

impl Started {
    pub fn subject(&self) -> Subject<'_> {
        Subject { backend: &*self.backend, shipped: &self.shipped }
    }
}

/// Starts the chosen stack, after removing what killed runs left.
pub fn start(
    args: &Start,
    shipped: Shipped,
    scenario: Option<ScenarioSetup>,
    ports: Ports,
    progress: &Progress,
) -> Result<Started> {
    args.check().map_err(Usage)?;
    if let Some(root) = &args.procfs {
        ensure!(root.is_dir(), "--path.procfs {}: no such directory", root.display());
    }
    let [prometheus, grafana] = [&args.prometheus, &args.grafana].map(|named| named.as_ref().and_then(Named::file));
    for (flag, file) in [("exporter", args.exporter.as_ref()), ("prometheus", prometheus), ("grafana", grafana)] {
        expect_file(flag, file)?;
    }
    interrupt::listen()?;
    sweep::sweep(progress);
    let backend: Box<dyn Backend> = match args.backend {
        cli::Backend::Local => Box::new(Local::start(&local::Options { scenario, ..args.local(ports) }, progress)?),
        cli::Backend::Kind => Box::new(Kind::start(&args.kind(ports), progress)?),
    };
    Ok(Started { backend, shipped })
}

/// Fails where a flag names a file that does not exist, before anything is built.
pub fn expect_file(flag: &str, file: Option<&PathBuf>) -> Result<()> {
    match file {
        Some(file) if !file.is_file() => bail!("--{flag} {}: no such file", file.display()),
        _ => Ok(()),
    }
}
