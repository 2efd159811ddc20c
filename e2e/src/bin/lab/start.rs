//! How every command that needs a stack of its own starts one.

use anyhow::{Context as _, Result, ensure};
use e2e::backend::kind::Kind;
use e2e::backend::local::Local;
use e2e::backend::{Backend, Ports, sweep};
use e2e::terminal::exit::Usage;
use e2e::terminal::progress::Progress;
use e2e::wait::interrupt;

use crate::cli::{self, Start};

/// Stands the chosen stack up. The sweep comes first: what a killed run left must not be in the way.
pub fn start(args: &Start, ports: Ports, progress: &Progress) -> Result<Box<dyn Backend>> {
    args.check().map_err(Usage)?;
    if let Some(root) = &args.procfs {
        let flag = || format!("--path.procfs {}", root.display());
        ensure!(root.metadata().with_context(flag)?.is_dir(), "{}: not a directory", flag());
    }
    interrupt::listen()?;
    sweep::sweep(progress);
    match args.backend {
        cli::Backend::Local => Ok(Box::new(Local::start(&args.local(ports), progress)?)),
        cli::Backend::Kind => Ok(Box::new(Kind::start(&args.kind(ports), progress)?)),
    }
}
