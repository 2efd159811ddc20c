//! A running container: its address, its main process, and what the engine knows about it.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use e2e::docker::docker;
use serde_json::Value;
use testcontainers::runners::SyncRunner as _;
use testcontainers::{Container, ContainerRequest, GenericImage};

/// The exporter's default port.
pub const PORT: u16 = 23333;

/// Dropping it removes the container.
#[must_use]
pub struct Running {
    container: Container<GenericImage>,
    address: IpAddr,
}

impl Running {
    /// Starts a container, and waits for what its request names.
    pub fn start(request: ContainerRequest<GenericImage>) -> Result<Self> {
        let image = request.descriptor();
        let container = request.start().with_context(|| {
            format!("a container of {image} did not get as far as it was waited for; what it said stands above")
        })?;
        let address = container.get_bridge_ip_address().context("the container has no address")?;
        Ok(Self { container, address })
    }

    pub fn id(&self) -> &str {
        self.container.id()
    }

    /// The base address of a port, reached over the network's bridge: nothing is published.
    pub fn at(&self, port: u16) -> String {
        format!("http://{}:{port}", self.address)
    }

    /// The address of a port as neighbours on the network use it.
    pub fn socket(&self, port: u16) -> String {
        format!("{}:{port}", self.address)
    }

    /// Its main process, as this machine numbers it.
    pub fn pid(&self) -> Result<u64> {
        self.inspect()?["State"]["Pid"].as_u64().filter(|pid| *pid > 0).context("the container has no process")
    }

    /// What the engine knows about it.
    pub fn inspect(&self) -> Result<Value> {
        inspect("container", self.id())
    }

    pub fn stderr(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.container.stderr_to_vec()?).into_owned())
    }

    pub fn stdout(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.container.stdout_to_vec()?).into_owned())
    }

    /// testcontainers' own handle.
    pub fn container(&self) -> &Container<GenericImage> {
        &self.container
    }
}

/// What the engine knows about one thing of a kind, such as `image` or `network`.
pub fn inspect(kind: &str, name: &str) -> Result<Value> {
    let text = docker([kind, "inspect", name]).read()?;
    let mut all: Vec<Value> = serde_json::from_str(&text).with_context(|| format!("`docker {kind} inspect {name}`"))?;
    all.pop().with_context(|| format!("there is no {kind} `{name}`"))
}
