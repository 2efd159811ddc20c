//! The router in process, without a socket.
//!
//! - [`snapshots`]: what it answers over every tree in `fixtures/`
//! - [`special_files`]: files that git cannot keep
//! - [`cpus`]: a collector that is off by default
//! - [`limits`]: how long a connection may take for each of its steps
//! - [`properties`]: what holds for any input

mod cpus;
mod limits;
mod properties;
mod snapshots;
mod special_files;
#[path = "../support/mod.rs"]
mod support;
