//! The real binary.
//!
//! - [`flags`]: `--help`, `--version`, every bad command line, the node's name
//! - [`effects`]: a row for each argument, with something that is seen of it
//! - [`plausible`]: what it says of itself, against what the kernel and the compiler say
//! - [`failures`]: what ends it with exit code 1, and what must not end it
//! - [`startup`]: listeners, and what the log says at start
//! - [`log`]: the lines that others read
//! - [`connections`]: clients that are slow, silent, wrong, or many
//! - [`shutdown`]: signals, and what becomes of each kind of connection

mod connections;
mod effects;
mod failures;
mod flags;
mod log;
mod plausible;
mod shutdown;
mod startup;
#[path = "../support/mod.rs"]
mod support;
