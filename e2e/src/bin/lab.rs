//! The lab: one binary for every backend. See `lab --help`.

use std::process::ExitCode;

use clap::Parser as _;
use e2e::cli::Cli;
use e2e::kind::shim;
use e2e::out::{self, OutError};
use e2e::{commands, guard};

fn main() -> ExitCode {
    if let Some(code) = shim::enter().or_else(guard::enter) {
        return code;
    }
    match commands::run(Cli::parse()) {
        Ok(code) => code.into(),
        // Whoever closes our output has seen enough: no failure of ours.
        Err(error) if error.downcast_ref::<OutError>().is_some_and(OutError::reader_has_gone) => ExitCode::SUCCESS,
        Err(error) => {
            out::aside(&format!("lab: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
