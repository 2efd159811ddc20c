//! The thread that starts every child. A parent-death signal comes when the *thread* that spawned ends (prctl(2),
//! `PR_SET_PDEATHSIG`), so this one lives as long as the process, and no caller has to care which thread it is on.

use std::io;
use std::sync::LazyLock;
use std::sync::mpsc::{self, Sender};
use std::thread;

use duct::{Expression, Handle};

type Request = (Expression, Sender<io::Result<Handle>>);

static SPAWNER: LazyLock<Sender<Request>> = LazyLock::new(|| {
    let (requests, received) = mpsc::channel::<Request>();
    thread::spawn(move || {
        for (expression, answer) in received {
            let _ = answer.send(expression.start());
        }
    });
    requests
});

/// Starts an expression on the spawner thread.
pub(super) fn start(expression: &Expression) -> io::Result<Handle> {
    let ended = || io::Error::other("the thread that starts children has ended");
    let (answer, started) = mpsc::channel();
    SPAWNER.send((expression.clone(), answer)).map_err(|_| ended())?;
    started.recv().map_err(|_| ended())?
}
