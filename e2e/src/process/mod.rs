//! Running programs to their end, or as children that live as long as the lab.

pub mod child;
pub mod command;
pub mod guard;
pub mod leftover;
pub mod log;
mod spawner;

/// This machine's architecture, as Go and Docker name it.
pub fn arch() -> anyhow::Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => anyhow::bail!("unsupported architecture `{other}`; expected x86_64 or aarch64"),
    }
}
