//! A client of the exporter's endpoints.

use anyhow::Result;

use super::access::Access;
use super::http::{Answer, Server};

/// An exporter.
#[derive(Clone, Debug)]
pub struct Exporter(Server);

impl Exporter {
    /// The exporter with that base address, such as `http://127.0.0.1:23333`.
    pub fn new(base: impl Into<String>) -> Self {
        Self(Server::new(base))
    }

    /// The exporter at an address anywhere.
    pub fn elsewhere(base: &str, access: &Access) -> Self {
        Self(Server::elsewhere(base, access))
    }

    pub fn base(&self) -> &str {
        self.0.base()
    }

    /// Fails unless the exporter is ready; the error is the exporter's own.
    pub fn ready(&self) -> Result<()> {
        Ok(self.0.get("/healthz/ready", &[])?.text().map(drop)?)
    }

    /// What it exposes, whatever the status.
    pub fn exposition(&self) -> Result<Answer> {
        self.0.exposition("/metrics")
    }

    /// The name that its samples carry.
    pub fn hostname(&self) -> Result<String> {
        Ok(self.0.get("/info/hostname", &[])?.text()?)
    }
}
