//! End-to-end harness and local lab for mini-node-exporter: the program `lab` (`src/bin/lab/`) and the tests use these
//! modules. `docs/architecture.md` lists them from the top down.

#![allow(
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    missing_docs,
    reason = "only this workspace uses this crate"
)]

pub mod backend;
pub mod checks;
pub mod client;
pub mod docker;
pub mod mutate;
pub mod play;
pub mod process;
pub mod run;
pub mod scenario;
pub mod stack;
pub mod terminal;
pub mod tools;
pub mod wait;
pub mod workspace;
