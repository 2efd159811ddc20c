//! The two signals that ask a process to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::procfs::{IgnoredSignals, ProcRoot};

/// Catches SIGTERM and SIGINT from now on, and hands over the name of each. Needs a tokio runtime with I/O.
///
/// A SIGINT that was ignored at start stays ignored: a shell's background job must not end by its terminal's Ctrl-C.
/// SIGHUP is left as it is, so that `nohup` does what it says.
///
/// # Errors
///
/// When the kernel refuses a handler.
pub fn signals() -> io::Result<UnboundedReceiver<&'static str>> {
    let (sender, receiver) = unbounded_channel();
    let ignored = ProcRoot::default().read::<IgnoredSignals>();
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        if kind == SignalKind::interrupt() && ignored.as_ref().is_ok_and(|set| set.contains(kind.as_raw_value())) {
            continue;
        }
        let mut caught = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move { while caught.recv().await.is_some() && sender.send(name).is_ok() {} });
    }
    Ok(receiver)
}
