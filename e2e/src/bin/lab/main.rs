//! The lab: one program for every backend. See `lab --help`. A command is a file, and ends in an [`Exit`].

mod check;
mod cli;
mod completions;
mod detach;
mod doctor;
mod down;
mod images;
mod logs;
mod mutate;
mod scenario;
mod start;
mod status;
mod tables;
mod up;
mod watch;
mod which;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use e2e::backend::local::fleet;
use e2e::process::guard;
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, OutError};
use e2e::terminal::progress::{Progress, Shown};
use e2e::wait::poll;

use cli::{Cli, Command};

fn main() -> ExitCode {
    if let Some(code) = guard::enter().or_else(fleet::enter) {
        return code;
    }
    run(Cli::parse()).unwrap_or_else(|error| explain(&error)).into()
}

fn run(cli: Cli) -> Result<Exit> {
    poll::check_patience().map_err(|error| Usage(error.to_string()))?;
    let progress = &Progress::showing(if cli.quiet { Shown::Trouble } else { Shown::All });
    match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(mut args) => {
            args.start.complete()?;
            up::up(&args, progress)
        }
        Command::Check(args) => check::check(args, progress),
        Command::Status(args) => status::status(&args),
        Command::Down(which) => down::down(&which, progress),
        Command::Logs(which) => logs::logs(&which),
        Command::Scenario(cli::Scenario::List) => scenario::list(),
        Command::Scenario(cli::Scenario::Run(args)) => scenario::run(&args, progress),
        Command::Mutate(args) => mutate::mutate(&args, progress),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Images(cli::Images::Build { airgap }) => images::build(airgap, progress),
        Command::Completions { shell } => completions::completions(shell),
    }
}

/// Says what went wrong, and gives the exit that it means.
fn explain(error: &anyhow::Error) -> Exit {
    // A reader that closed the pipe, as `head` does, is no failure.
    if error.downcast_ref().is_some_and(OutError::reader_has_gone) {
        return Exit::Ok;
    }
    out::error(&out::plain(&format!("{error:#}")));
    if error.is::<Usage>() { Exit::Usage } else { Exit::Failed }
}
