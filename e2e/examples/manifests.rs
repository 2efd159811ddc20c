//! `just manifests`: writes the manifests that are made from other files.

use std::path::Path;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate lies in a workspace")?;
    e2e::manifests::write(workspace)
}
