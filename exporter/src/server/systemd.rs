//! Listeners that systemd holds, and hands over at start.

use std::net::TcpListener;

use anyhow::{Context, bail};
use listenfd::ListenFd;

/// Takes the sockets that systemd opened for this process, as `LISTEN_FDS` and `LISTEN_PID` say.
///
/// # Errors
///
/// There is none, or one is not a TCP socket.
pub fn inherited() -> anyhow::Result<Vec<TcpListener>> {
    let mut given = ListenFd::from_env();
    let listeners = (0..given.len()).filter_map(|place| given.take_tcp_listener(place).transpose());
    let listeners: Vec<TcpListener> =
        listeners.collect::<Result<_, _>>().context("--web.systemd-socket: cannot listen on what systemd passed")?;
    if listeners.is_empty() {
        bail!("--web.systemd-socket: systemd passed no socket: start this from a .service that has a .socket unit");
    }
    for listener in &listeners {
        listener.set_nonblocking(true).context("--web.systemd-socket: cannot prepare a socket")?;
    }
    Ok(listeners)
}
