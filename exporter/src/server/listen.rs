//! Listeners.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use listenfd::ListenFd;
use socket2::SockRef;

use super::address::{ListenAddress, start_listening};
use crate::web_config::WebConfigWatcher;

/// A listening socket and the app that it serves.
pub struct Listener {
    pub(super) socket: TcpListener,
    pub(super) app: Router,
    pub(super) web_config: Option<Arc<WebConfigWatcher>>,
    pub(super) message: &'static str,
}

impl Listener {
    /// Serves the endpoints, over TLS if the web configuration has it. Its passwords, rate limit and headers are applied
    /// by [`protected`](crate::http::protected).
    #[must_use]
    pub fn new(socket: TcpListener, app: Router, web_config: Option<Arc<WebConfigWatcher>>) -> Self {
        Self { socket, app, web_config, message: "listening" }
    }

    /// Serves health without authentication. Logs its own message, so that `listening` means the main listener.
    #[must_use]
    pub fn health(socket: TcpListener, app: Router) -> Self {
        Self { socket, app, web_config: None, message: "listening for health probes" }
    }
}

/// Listens on every address, or on none.
///
/// # Errors
///
/// Names the address that cannot be listened on.
pub fn bind(addresses: &[ListenAddress]) -> anyhow::Result<Vec<TcpListener>> {
    let mut sockets = Vec::new();
    for address in addresses {
        sockets.extend(address.bind(addresses).with_context(|| format!("cannot listen on {address}"))?);
    }
    Ok(sockets)
}

/// Takes the sockets that systemd opened for this process, as `LISTEN_FDS` and `LISTEN_PID` say.
///
/// # Errors
///
/// There is none, or one is not a TCP socket.
pub fn inherited() -> anyhow::Result<Vec<TcpListener>> {
    let mut given = ListenFd::from_env();
    let sockets = (0..given.len()).filter_map(|place| given.take_tcp_listener(place).transpose());
    let sockets: Vec<TcpListener> =
        sockets.collect::<Result<_, _>>().context("--web.systemd-socket: cannot use the socket passed by systemd")?;
    if sockets.is_empty() {
        bail!("--web.systemd-socket: systemd passed no socket; start this from a .service that has a .socket unit");
    }
    for socket in &sockets {
        start_listening(&SockRef::from(socket)).context("--web.systemd-socket: cannot prepare a socket")?;
    }
    Ok(sockets)
}
