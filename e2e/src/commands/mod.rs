//! What `lab` does, one file a command. A command gives the process' exit code.

mod check;
mod doctor;
mod down;
mod images;
mod logs;
mod screenshot;
mod status;
mod up;

use anyhow::{Result, bail};

use crate::cli::{self, Cli, Command, Start};
use crate::kind::Kind;
use crate::local::{self, Local, Ports};
use crate::progress::Progress;
use crate::run::{self, Found};
use crate::stack::Backend;
use crate::{interrupt, out, poll, sweep};

/// The exit code of a command line that cannot be acted on, as clap has it.
const USAGE: u8 = 2;

/// Does what the command line asks for.
///
/// # Errors
///
/// The command failed, which is exit code 1.
pub fn run(cli: Cli) -> Result<u8> {
    if let Err(error) = poll::check_patience() {
        out::aside(&format!("lab: {error}"));
        return Ok(USAGE);
    }
    let command = cli.command.unwrap_or(Command::Up(cli.up));
    if let Command::Up(cli::Up { start, .. })
    | Command::Check(cli::Check { start, .. })
    | Command::Screenshot(cli::Screenshot { start, .. }) = &command
        && let Some(misplaced) = start.misplaced()
    {
        out::aside(&format!("lab: {misplaced}"));
        return Ok(USAGE);
    }
    match command {
        Command::Up(args) => up::up(&args),
        Command::Check(args) => check::check(&args),
        Command::Screenshot(args) => screenshot::screenshot(args),
        Command::Status(which) => status::status(&which),
        Command::Down(which) => down::down(&which),
        Command::Logs(which) => logs::logs(&which),
        Command::Doctor => doctor::doctor(),
        Command::Images(cli::Images::Build { airgap }) => images::build(airgap),
    }
}

/// Stands the chosen stack up. The sweep comes first: a killed run's leavings must not be in the way.
fn start(args: &Start, ports: Ports, progress: &Progress) -> Result<Box<dyn Backend>> {
    if let Some(root) = &args.procfs {
        local::check_procfs(root)?;
    }
    interrupt::listen()?;
    sweep::sweep(progress);
    match args.backend {
        cli::Backend::Local => Ok(Box::new(Local::start(&args.local(ports), progress)?)),
        cli::Backend::Kind => Ok(Box::new(Kind::start(&args.kind(ports), progress)?)),
    }
}

/// The run that is meant; without an id the only one. Several are listed, which is a usage error.
fn choose(id: Option<&str>) -> Result<std::result::Result<Found, u8>> {
    let mut runs: Vec<Found> = run::list()?.into_iter().filter(|run| run.alive || run.kept).collect();
    if let Some(id) = id {
        let Some(at) = runs.iter().position(|run| run.id == id) else {
            bail!("no lab has the id `{id}`; there are: {}", names(&runs));
        };
        return Ok(Ok(runs.swap_remove(at)));
    }
    if runs.len() > 1 {
        out::aside(&format!("several labs are running, name one of them: {}", names(&runs)));
        return Ok(Err(USAGE));
    }
    match runs.pop() {
        Some(run) => Ok(Ok(run)),
        None => bail!("no lab is running; `cargo lab` starts one"),
    }
}

fn names(runs: &[Found]) -> String {
    let each = |run: &Found| match &run.record {
        Some(record) => format!("{} ({})", run.id, record.backend),
        None => run.id.clone(),
    };
    if runs.is_empty() { "none".into() } else { runs.iter().map(each).collect::<Vec<_>>().join(", ") }
}
