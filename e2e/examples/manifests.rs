//! `just manifests`: writes the manifests that are made from other files.

fn main() -> anyhow::Result<()> {
    e2e::contract::manifests::write(e2e::paths::workspace())
}
