//! The cluster's Alertmanager: what it is configured with, and the lab's sink that it delivers to.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use crate::backend::sink::{Sink, at_once, delivering_to};
use crate::client::alertmanager::Delivery;
use crate::docker::docker;

/// Alertmanager's configuration in a cluster, and whom it delivers to.
#[derive(Debug)]
pub(super) struct Alerting {
    pub config: Value,
    pub delivery: Delivery,
    _sink: Option<Sink>,
}

impl Alerting {
    /// Starts the sink where the pods of this node's cluster reach it. Without one no receiver is left.
    pub fn start(config: Value, node: &str, log: PathBuf) -> Self {
        let config = at_once(config);
        match sink(node, log) {
            Ok(sink) => Self {
                config: delivering_to(Some(&format!("http://{}/", sink.address)), &config),
                delivery: Delivery::Lab(sink.pages.clone()),
                _sink: Some(sink),
            },
            Err(error) => Self {
                config: delivering_to(None, &config),
                delivery: Delivery::Nobody(format!("cannot receive pages: {error:#}")),
                _sink: None,
            },
        }
    }
}

/// Listens on the gateway of the node's network, which is an address of this machine where the engine is.
fn sink(node: &str, log: PathBuf) -> Result<Sink> {
    let gateways = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}";
    let gateway =
        docker(["inspect", "--format", gateways, node]).read().map_err(|error| anyhow!("{}", error.reason()))?;
    let address: IpAddr =
        gateway.parse().with_context(|| format!("the engine names no gateway of {node}: `{gateway}`"))?;
    let sink = Sink::start(address, log).map_err(|error| {
        anyhow!(
            "cannot listen on {gateway}, the gateway of the cluster's network: {error:#}; the engine may be rootless, \
             or on another machine"
        )
    })?;
    let connect = format!("</dev/tcp/{}", sink.address.replace(':', "/"));
    let connected = docker(["exec", node, "timeout", "5", "bash", "-c", &connect]).limit(Duration::from_secs(10)).run();
    connected.map_err(|error| {
        anyhow!(
            "{node} cannot connect to {}: {}; a firewall may keep containers from this machine",
            sink.address,
            error.reason()
        )
    })?;
    Ok(sink)
}
