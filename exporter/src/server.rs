//! The sockets: listening, accepting, limits, shutdown.
//!
//! A client may be slow, silent, or many; none of that may keep the exporter from answering others or from ending:
//!
//! - a request's head must be complete 10 s after it began (or after the connection was opened, with a TLS handshake
//!   before it),
//! - a connection between two requests is kept for 150 s, longer than any usual scrape interval,
//! - an answer that the client does not take is given up after 30 s without progress,
//! - at most 256 connections are open at once, fewer where the process may not open that many files. When all are
//!   taken, a new client gets the place of one that idles: first of those that never completed a request, then of those
//!   between two requests, then of those whose answer is not taken, and of each the one that has done so for longest.
//!
//! After the first SIGTERM or SIGINT nothing is accepted any more, connections without a complete request are closed
//! at once, and requests being answered get 5 s. A second signal ends that too.

mod activity;
mod address;
mod connection;
mod connections;
mod signals;
mod site;
mod systemd;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::Instant;

use activity::Activity;
pub use address::{BadAddress, ListenAddress};
use connections::Connections;
pub use signals::signals;
use site::Service;
pub use site::Site;
pub use systemd::inherited;

/// How long requests being answered get after the first signal.
const GRACE: Duration = Duration::from_secs(5);
/// How long to leave a listener alone that could not accept, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often to say so.
const ACCEPT_COMPLAINT: Duration = Duration::from_secs(60);

/// Binds every address, or none.
///
/// # Errors
///
/// Names the address that cannot be had.
pub fn bind(addresses: &[ListenAddress]) -> anyhow::Result<Vec<StdListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.extend(address.bind(addresses).with_context(|| format!("cannot listen on {address}"))?);
    }
    Ok(listeners)
}

/// Answers until a signal's name arrives. Logs one line `listening` per site, with the address really bound.
/// Connections that are left when it returns end with the runtime.
///
/// # Errors
///
/// A listener that was bound cannot be listened on after all.
pub async fn serve(sites: Vec<Site>, mut signals: UnboundedReceiver<&'static str>) -> anyhow::Result<()> {
    let connections = Arc::new(Connections::new());
    let (stop, stopping) = watch::channel(false);
    let mut accepting = tokio::task::JoinSet::new();
    for Site { listener, service, message } in sites {
        let address = listener.local_addr().context("a listener has no address")?;
        let listener = TcpListener::from_std(listener).with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(%address, "{message}");
        accepting.spawn(accept(listener, service, Arc::clone(&connections), stopping.clone()));
    }
    let signal = signals.recv().await;
    tracing::info!(signal, "shutting down");
    // Closes the listeners: a task that is aborted drops what it holds.
    accepting.shutdown().await;
    let _ = stop.send(true);
    tokio::select! {
        () = connections.ended() => {}
        () = tokio::time::sleep(GRACE) => tracing::warn!("gave up on requests being answered"),
        signal = signals.recv() => tracing::warn!(signal, "second signal: ending at once"),
    }
    Ok(())
}

/// Answers what comes over one stream, with the same limits, and without a socket or a way to stop it.
pub async fn serve_stream<S>(stream: S, app: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (_running, stopping) = watch::channel(false);
    let service = Service { app, web: None };
    connection::serve(stream, Ipv4Addr::LOCALHOST.into(), Activity::new(), service, stopping).await;
}

async fn accept(
    listener: TcpListener,
    service: Service,
    connections: Arc<Connections>,
    stopping: watch::Receiver<bool>,
) {
    let mut complained: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tracing::debug!(%peer, "connection");
                let activity = Activity::new();
                let serve = connection::serve(stream, peer.ip(), activity.clone(), service.clone(), stopping.clone());
                connections.admit(activity, serve).await;
            }
            // The client has gone again: nothing is wrong here.
            Err(error) if is_client_gone(&error) => {}
            Err(error) => {
                if complained.is_none_or(|at| at.elapsed() >= ACCEPT_COMPLAINT) {
                    tracing::error!(%error, "cannot accept connections");
                    complained = Some(Instant::now());
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_client_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
