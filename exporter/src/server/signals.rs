//! The two signals that ask a process to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::flag::register_conditional_shutdown;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::procfs;

/// SIGTERM and SIGINT. A SIGINT that was ignored at start stays ignored: Ctrl-C must not stop a background job. SIGHUP
/// stays untouched, so that `nohup` works.
pub struct ShutdownSignals {
    caught: Vec<(SignalKind, &'static str)>,
    starting: Arc<AtomicBool>,
}

impl ShutdownSignals {
    /// Catches them from now on: either ends the process at once, with 0. Without a handler the kernel drops signals to
    /// PID 1, which this is in a container.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler.
    pub fn catch() -> io::Result<Self> {
        let mut caught = vec![(SignalKind::terminate(), "SIGTERM")];
        if !procfs::ignores_interrupts() {
            caught.push((SignalKind::interrupt(), "SIGINT"));
        }
        let starting = Arc::new(AtomicBool::new(true));
        for (kind, _) in &caught {
            register_conditional_shutdown(kind.as_raw_value(), 0, Arc::clone(&starting))?;
        }
        Ok(Self { caught, starting })
    }

    /// From now on sends the name of each signal to the returned receiver. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a handler.
    pub fn receive(self) -> io::Result<UnboundedReceiver<&'static str>> {
        let (sender, receiver) = unbounded_channel();
        for (kind, name) in self.caught {
            let mut caught = signal(kind)?;
            let sender = sender.clone();
            tokio::spawn(async move { while caught.recv().await.is_some() && sender.send(name).is_ok() {} });
        }
        self.starting.store(false, Ordering::SeqCst);
        Ok(receiver)
    }
}
