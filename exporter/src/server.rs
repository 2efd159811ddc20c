//! The sockets: listening, accepting, limits, shutdown.
//!
//! A client may be slow, silent, or many; none of that may keep the exporter from answering others or from ending:
//!
//! - a request's head must be complete 10 s after it began (or after the connection was opened),
//! - a connection between two requests is kept for 150 s, longer than any usual scrape interval,
//! - an answer that the client does not take is given up after 30 s without progress,
//! - at most 512 connections are open at once, fewer where the process may not open that many files; more wait in the
//!   kernel's queue, and never keep a scrape from opening what it reads.
//!
//! After the first SIGTERM or SIGINT nothing is accepted any more, connections without a complete request are closed
//! at once, and requests being answered get 5 s. A second signal ends that too.

mod activity;
mod address;
mod connection;
mod signals;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

pub use address::{BadAddress, ListenAddress};
pub use signals::signals;

const MOST_CONNECTIONS: u32 = 512;
/// File descriptors for everything but connections: standard streams, listeners, the runtime, the files of a scrape.
const OTHER_DESCRIPTORS: u64 = 16;
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
    addresses.iter().map(|address| address.bind().with_context(|| format!("cannot listen on {address}"))).collect()
}

/// Answers until a signal's name arrives. Logs one line `listening` per listener, with the address really bound.
/// Connections that are left when it returns end with the runtime.
///
/// # Errors
///
/// A listener that was bound cannot be listened on after all.
pub async fn serve(
    listeners: Vec<StdListener>,
    app: Router,
    mut signals: UnboundedReceiver<&'static str>,
) -> anyhow::Result<()> {
    let most = most_connections();
    let slots = Arc::new(Semaphore::new(most as usize));
    let (stop, stopping) = watch::channel(false);
    let mut accepting = tokio::task::JoinSet::new();
    for listener in listeners {
        let address = listener.local_addr().context("a listener has no address")?;
        let listener = TcpListener::from_std(listener).with_context(|| format!("cannot listen on {address}"))?;
        tracing::info!(%address, "listening");
        accepting.spawn(accept(listener, app.clone(), Arc::clone(&slots), stopping.clone()));
    }
    let signal = signals.recv().await;
    tracing::info!(signal, "shutting down");
    // Closes the listeners: a task that is aborted drops what it holds.
    accepting.shutdown().await;
    let _ = stop.send(true);
    tokio::select! {
        // Every connection holds a slot until it ends.
        _ = slots.acquire_many(most) => {}
        () = tokio::time::sleep(GRACE) => tracing::warn!("gave up on requests being answered"),
        signal = signals.recv() => tracing::warn!(signal, "second signal: ending at once"),
    }
    Ok(())
}

async fn accept(listener: TcpListener, app: Router, slots: Arc<Semaphore>, stopping: watch::Receiver<bool>) {
    let mut complained: Option<Instant> = None;
    loop {
        match next(&listener, &slots).await {
            Ok((stream, peer, slot)) => {
                tracing::debug!(%peer, "connection");
                let connection = connection::serve(stream, app.clone(), stopping.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
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

async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let (stream, peer) = listener.accept().await?;
    // Only now: a listener to which nobody comes must not keep a slot from another one's clients.
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    Ok((stream, peer, slot))
}

fn most_connections() -> u32 {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(1);
    u32::try_from(room).unwrap_or(MOST_CONNECTIONS).min(MOST_CONNECTIONS)
}

fn is_client_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
