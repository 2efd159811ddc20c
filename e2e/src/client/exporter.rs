//! A client of the exporter's endpoints.

use anyhow::{Context as _, Result};

use crate::client::http;

/// An exporter by its base address, such as `http://127.0.0.1:23333`.
#[derive(Clone, Debug)]
pub struct Exporter {
    base: String,
}

impl Exporter {
    /// A client; nothing is asked yet.
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into() }
    }

    /// The base address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Fails unless the exporter is ready; the error is the exporter's own.
    pub fn ready(&self) -> Result<()> {
        http::get_text(&format!("{}/healthz/ready", self.base)).map(drop)
    }

    /// The name that its samples carry.
    pub fn hostname(&self) -> Result<String> {
        http::get_text(&format!("{}/info/hostname", self.base))
    }

    /// The node's uptime in seconds.
    pub fn uptime(&self) -> Result<f64> {
        let text = http::get_text(&format!("{}/info/uptime", self.base))?;
        text.parse().with_context(|| format!("/info/uptime answers `{text}`, which is no number"))
    }
}
