//! End-to-end harness and local lab for mini-node-exporter. Each folder is a noun, and uses only folders below its own
//! in this table; the program `lab` (`src/bin/lab/`) and the tests use them all.
//!
//! | folder | what it is |
//! |---|---|
//! | [`scenario`] | a node's life in promtool's notation, as a unit test and played on the real thing |
//! | [`checks`] | what must be true of a running stack, and the report |
//! | [`backend`] | what stands a stack up and takes it down: [`backend::local`] processes, a [`backend::kind`] cluster |
//! | [`stack`] | where the parts of a running stack answer, and what they must agree with |
//! | [`client`] | the parts as seen from outside: exporter, Prometheus, Grafana |
//! | [`docker`] | the engine, and what a run has in it |
//! | [`run`] | a run's directory and lock, and what a failed one leaves |
//! | [`tools`] | programs: where they come from, pinned versions |
//! | [`workspace`] | the files of this checkout: dashboard, rules, the exporter's binary |
//! | [`process`] | running programs and ending them, and reading their logs |
//! | [`terminal`] | what is written, and where |
//! | [`wait`] | deadlines, interrupts, locks |

#![allow(
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    missing_docs,
    reason = "nobody else builds on this crate"
)]

pub mod backend;
pub mod checks;
pub mod client;
pub mod docker;
pub mod process;
pub mod run;
pub mod scenario;
pub mod stack;
pub mod terminal;
pub mod tools;
pub mod wait;
pub mod workspace;
