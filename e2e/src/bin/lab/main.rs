//! The lab: one program for every backend. See `lab --help`. A command is a file, and ends in an [`Exit`].

mod check;
mod cli;
mod doctor;
mod down;
mod images;
mod logs;
mod scenario;
mod screenshot;
mod start;
mod status;
mod tables;
mod up;
mod which;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use e2e::backend::local::fleet;
use e2e::process::guard;
use e2e::terminal::exit::{Exit, Usage};
use e2e::terminal::out::{self, OutError};
use e2e::wait::poll;
use e2e::workspace;

use cli::{Cli, Command};

fn main() -> ExitCode {
    if let Some(code) = guard::enter().or_else(fleet::enter) {
        return code;
    }
    run(Cli::parse()).unwrap_or_else(|error| explain(&error)).into()
}

fn run(cli: Cli) -> Result<Exit> {
    workspace::expect_unmoved()?;
    poll::check_patience().map_err(|error| Usage(error.to_string()))?;
    match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(args) => up::up(&args),
        Command::Check(args) => check::check(&args),
        Command::Screenshot(args) => screenshot::screenshot(args),
        Command::Status(which) => status::status(&which),
        Command::Down(which) => down::down(&which),
        Command::Logs(which) => logs::logs(&which),
        Command::Scenario(cli::Scenario::List) => scenario::list(),
        Command::Scenario(cli::Scenario::Run(args)) => scenario::run(&args),
        Command::Doctor => doctor::doctor(),
        Command::Images(cli::Images::Build { airgap }) => images::build(airgap),
    }
}

/// Says what went wrong, and gives the exit that it means.
fn explain(error: &anyhow::Error) -> Exit {
    // Whoever closes our output has seen enough: no failure of ours.
    if error.downcast_ref().is_some_and(OutError::reader_has_gone) {
        return Exit::Ok;
    }
    out::error(&format_args!("{error:#}"));
    if error.is::<Usage>() { Exit::Usage } else { Exit::Failed }
}
