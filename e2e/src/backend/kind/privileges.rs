//! Nested hosts, on which root lacks `CAP_SYS_RESOURCE` and `docker run --privileged`, which `kind` uses, fails.

use std::env;
use std::ffi::OsString;

use anyhow::Result;
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

use crate::workspace;

/// Whether this is such a host.
pub fn are_limited() -> bool {
    capability_is_in_bounding_set(CapabilitySet::SYS_RESOURCE).is_ok_and(|is_in| !is_in)
}

/// A `PATH` whose first `docker` asks for all privileges but that one.
pub fn path() -> Result<OsString> {
    let first = workspace::root().join("e2e/airgap/nearly-privileged");
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(std::iter::once(first).chain(env::split_paths(&path)))?)
}
