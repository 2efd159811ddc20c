//! How every command that needs a stack of its own starts one.

use anyhow::{Context as _, Result, ensure};
use e2e::backend::kind::Kind;
use e2e::backend::local::{self, Local, ScenarioSetup};
use e2e::backend::{Backend, Ports, sweep};
use e2e::checks::Subject;
use e2e::terminal::exit::Usage;
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;
use e2e::workspace::shipped::Shipped;

use crate::cli::{self, Start};

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

/// Stands the chosen stack up. The sweep comes first, for what a killed run left must not be in the way.
pub fn start(
    args: &Start,
    shipped: Shipped,
    scenario: Option<ScenarioSetup>,
    ports: Ports,
    progress: &Progress,
) -> Result<Started> {
    args.check().map_err(Usage)?;
    if let Some(root) = &args.procfs {
        let flag = || format!("--path.procfs {}", root.display());
        ensure!(fs_err::metadata(root).with_context(flag)?.is_dir(), "{}: not a directory", flag());
    }
    interrupt::listen()?;
    sweep::sweep(progress);
    let backend: Box<dyn Backend> = match args.backend {
        cli::Backend::Local => Box::new(Local::start(&local::Options { scenario, ..args.local(ports) }, progress)?),
        cli::Backend::Kind => Box::new(Kind::start(&args.kind(ports), progress)?),
    };
    Ok(Started { backend, shipped })
}
