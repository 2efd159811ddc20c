//! The two signals that ask a process to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Catches SIGTERM and SIGINT from now on, and hands over the name of each. Needs a tokio runtime with I/O.
///
/// # Errors
///
/// When the kernel refuses a handler.
pub fn signals() -> io::Result<UnboundedReceiver<&'static str>> {
    let (sender, receiver) = unbounded_channel();
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let mut caught = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move { while caught.recv().await.is_some() && sender.send(name).is_ok() {} });
    }
    Ok(receiver)
}
