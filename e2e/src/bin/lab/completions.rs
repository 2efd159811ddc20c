//! `lab completions`: what a shell has to know to complete command lines of `lab`.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use e2e::terminal::exit::Exit;
use e2e::terminal::out;

use crate::cli::Cli;

pub fn completions(shell: Shell) -> Result<Exit> {
    // Not written by clap itself, which panics on a closed pipe.
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "lab", &mut script);
    out::line(String::from_utf8(script)?.trim_end())?;
    Ok(Exit::Ok)
}
