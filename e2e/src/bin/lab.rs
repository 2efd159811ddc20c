//! The lab: one binary for every backend. See `lab --help`.

use std::process::ExitCode;

use clap::Parser as _;
use e2e::cli::Cli;
use e2e::kind::shim;
use e2e::{commands, guard};

fn main() -> ExitCode {
    if let Some(code) = shim::enter().or_else(guard::enter) {
        return code;
    }
    match commands::run(Cli::parse()) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
