//! The sockets: listening, accepting, limits, shutdown.
//!
//! A client may be slow, silent, or many; none of that may keep the exporter from answering others or from ending:
//!
//! - a request's head must be complete 10 s after it began (or after the connection was opened),
//! - a connection between two requests is kept for 150 s, longer than any usual scrape interval,
//! - an answer that the client does not take is given up after 30 s without progress,
//! - at most 512 connections are open at once; more wait in the kernel's queue.
//!
//! After the first SIGTERM or SIGINT nothing is accepted any more, connections without a complete request are closed
//! at once, and requests being answered get 5 s. A second signal ends that too.

mod activity;
mod address;
mod connection;
mod signals;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub use address::{BadAddress, ListenAddress};
pub use signals::Signals;

const MOST_CONNECTIONS: u32 = 512;
/// How long requests being answered get after the first signal.
const GRACE: Duration = Duration::from_secs(5);
/// How long to leave a listener alone that could not accept, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds every address, or none.
///
/// # Errors
///
/// Names the address that cannot be had.
pub fn bind(addresses: &[ListenAddress]) -> anyhow::Result<Vec<StdListener>> {
    addresses.iter().map(|address| address.bind().with_context(|| format!("cannot listen on {address}"))).collect()
}

/// Answers until a signal arrives. Logs one line `listening` per listener, with the address really bound.
pub async fn serve(listeners: Vec<StdListener>, app: Router, mut signals: Signals) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS as usize));
    let (stop, stopping) = watch::channel(false);
    let mut accepting = tokio::task::JoinSet::new();
    for listener in listeners {
        let address = listener.local_addr();
        match (address, TcpListener::from_std(listener)) {
            (Ok(address), Ok(listener)) => {
                tracing::info!(%address, "listening");
                accepting.spawn(accept(listener, app.clone(), Arc::clone(&slots), stopping.clone()));
            }
            (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "listener is lost"),
        }
    }
    let signal = signals.next().await;
    tracing::info!(signal, "shutting down");
    // Closes the listeners: a task that is aborted drops what it holds.
    accepting.shutdown().await;
    let _ = stop.send(true);
    tokio::select! {
        // Every connection holds a slot until it ends.
        _ = slots.acquire_many(MOST_CONNECTIONS) => {}
        () = tokio::time::sleep(GRACE) => tracing::warn!("gave up on requests being answered"),
        signal = signals.next() => tracing::warn!(signal, "second signal: ending at once"),
    }
}

async fn accept(listener: TcpListener, app: Router, slots: Arc<Semaphore>, stopping: watch::Receiver<bool>) {
    let mut failing = false;
    loop {
        match next(&listener, &slots).await {
            Ok((stream, peer, slot)) => {
                if failing {
                    tracing::info!("accepting connections again");
                    failing = false;
                }
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
                if !failing {
                    tracing::error!(%error, "cannot accept connections");
                    failing = true;
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
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

fn is_client_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
