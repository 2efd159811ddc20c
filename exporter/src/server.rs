//! The sockets: listening, accepting, TLS, limits, shutdown.
//!
//! A client may be slow, silent, or many; none of that may block other clients or shutdown:
//!
//! - the head of a connection's first request must be complete 10 s after the connection was opened, with a TLS handshake
//!   before it; that of each later one 10 s after it began,
//! - between two requests a connection is kept for 150 s, longer than any usual scrape interval,
//! - a response that the client does not read is dropped after 30 s without progress,
//! - at most 256 connections are open at once, fewer where the process may not open that many files, and at most 64 TLS
//!   handshakes are under way. Beyond that a new client evicts the oldest of the least valuable connections:
//!   first one in its handshake, then one that never completed a request, then an idle one, then one whose client does
//!   not read its response.
//!
//! After the first SIGTERM or SIGINT nothing is accepted any more, connections without a complete request are closed
//! at once, and requests being answered get 5 s. A second signal ends that too. A changed web configuration
//! closes connections once what they answer is answered, so that no connection keeps the old one.

mod activity;
mod address;
mod connection;
mod connections;
mod listen;
mod signals;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use crate::log::LogThrottle;
pub use address::ListenAddress;
use connection::ListenerContext;
use connections::Connections;
pub use connections::MOST as MOST_CONNECTIONS;
pub use listen::{Listener, bind, inherited};
pub use signals::ShutdownSignals;

/// How long requests being answered get after the first signal.
const GRACE: Duration = Duration::from_secs(5);
/// Pause after a failed accept, e.g. without a free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until a signal arrives. Logs one line `listening` per listener, with the address really bound.
/// Connections that are left when it returns end with the runtime.
///
/// # Errors
///
/// When tokio refuses a bound socket.
pub async fn serve(listeners: Vec<Listener>, mut signals: UnboundedReceiver<&'static str>) -> anyhow::Result<()> {
    let connections = Arc::new(Connections::new());
    let (stop, stopping) = watch::channel(false);
    let mut accepting = tokio::task::JoinSet::new();
    for Listener { socket, app, web_config, message } in listeners {
        let address = socket.local_addr().context("a listener has no address")?;
        let socket = TcpListener::from_std(socket).with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(%address, "{message}");
        let serving = ListenerContext { app, web_config, stopping: stopping.clone(), refused: Arc::default() };
        accepting.spawn(accept(socket, serving, Arc::clone(&connections)));
    }
    let signal = signals.recv().await;
    tracing::info!(signal, "shutting down");
    // Closes the listeners: a task that is aborted drops what it holds.
    accepting.shutdown().await;
    let _ = stop.send(true);
    tokio::select! {
        () = connections.ended() => {}
        () = tokio::time::sleep(GRACE) => tracing::warn!("shutdown timed out; dropped active requests"),
        signal = signals.recv() => tracing::warn!(signal, "received second signal; exiting"),
    }
    Ok(())
}

/// Answers what comes over one stream, with the same limits, and without a socket or a way to stop it.
pub async fn serve_stream<S>(stream: S, app: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (_running, stopping) = watch::channel(false);
    let serving = ListenerContext { app, web_config: None, stopping, refused: Arc::default() };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let activity = serving.activity();
    serving.serve(stream, peer, activity).await;
}

async fn accept(socket: TcpListener, serving: ListenerContext, connections: Arc<Connections>) {
    let failures = LogThrottle::default();
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                tracing::debug!(%peer, "accepted connection");
                let activity = serving.activity();
                connections.admit(activity.clone(), serving.clone().serve(stream, peer, activity)).await;
            }
            // The client disconnected before accept; not an error.
            Err(error) if is_disconnect(&error) => {}
            Err(error) => {
                if failures.allows(Ipv4Addr::UNSPECIFIED.into()) {
                    tracing::error!(%error, "cannot accept connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_disconnect(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}
