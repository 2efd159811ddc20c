//! The table of open connections, in which there is always room for one more.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::activity::Activity;

/// More than any fleet of Prometheus servers keeps open, and few enough that their buffers stay below 6 MB.
const MOST: usize = 256;
/// File descriptors for everything but connections: standard streams, listeners, the runtime, the files of a scrape.
const OTHER_DESCRIPTORS: u64 = 24;
/// How long to wait before looking again, when every connection is being answered.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections that are open, each with the task that serves it.
pub(super) struct Connections {
    most: usize,
    open: Mutex<Vec<Open>>,
}

struct Open {
    activity: Activity,
    task: JoinHandle<()>,
}

impl Connections {
    /// As many as the process may open files for, and 256 at most.
    pub(super) fn new() -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let room = descriptors.saturating_sub(OTHER_DESCRIPTORS).max(1);
        Self { most: usize::try_from(room).unwrap_or(MOST).min(MOST), open: Mutex::default() }
    }

    /// Serves one more connection. Where the table is full, the one that is missed least is closed first; a newcomer
    /// only waits while every single one is being answered.
    pub(super) async fn admit(&self, activity: Activity, serve: impl Future<Output = ()> + Send + 'static) {
        while self.is_full() {
            match self.take_idle() {
                Some(victim) => {
                    victim.abort();
                    // Its file descriptor is closed when the task is gone, and not before.
                    let _ = victim.await;
                }
                None => tokio::time::sleep(PAUSE).await,
            }
        }
        self.lock().push(Open { activity, task: tokio::spawn(serve) });
    }

    /// Waits until the last connection has ended.
    pub(super) async fn ended(&self) {
        loop {
            let Some(last) = self.lock().pop() else { return };
            let _ = last.task.await;
        }
    }

    fn is_full(&self) -> bool {
        let mut open = self.lock();
        open.retain(|one| !one.task.is_finished());
        open.len() >= self.most
    }

    fn take_idle(&self) -> Option<JoinHandle<()>> {
        let mut open = self.lock();
        let idle = open.iter().enumerate().filter_map(|(place, one)| Some((one.activity.worth()?, place)));
        let (worth, place) = idle.min()?;
        tracing::debug!(?worth, "every connection is taken: closing one");
        Some(open.swap_remove(place).task)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::{Arc, Weak};
    use std::task::Poll;

    use tokio::time::timeout;

    use super::*;

    /// A connection that goes on for ever; what is returned can be upgraded until it is closed.
    async fn admit(connections: &Connections, activity: &Activity) -> Weak<()> {
        let alive = Arc::new(());
        let watched = Arc::downgrade(&alive);
        let serve = async move {
            pending::<()>().await;
            drop(alive);
        };
        connections.admit(activity.clone(), serve).await;
        watched
    }

    fn is_open(connection: &Weak<()>) -> bool {
        connection.strong_count() > 0
    }

    #[tokio::test]
    async fn one_that_is_being_answered_is_never_closed() {
        let connections = Arc::new(Connections { most: 2, open: Mutex::default() });
        let (busy, also_busy) = (Activity::new(), Activity::new());
        let (first, second) = (admit(&connections, &busy).await, admit(&connections, &also_busy).await);
        let (answering, also_answering) = (busy.begin_answer(), also_busy.begin_answer());
        let newcomer = Activity::new();
        let third = admit(&connections, &newcomer);
        tokio::pin!(third);
        assert!(timeout(PAUSE * 4, &mut third).await.is_err(), "there was room for a third");
        assert!(is_open(&first) && is_open(&second));
        drop(also_answering);
        let third = timeout(Duration::from_secs(10), third).await.unwrap();
        assert_eq!((is_open(&first), is_open(&second), is_open(&third)), (true, false, true));
        drop(answering);
    }

    #[tokio::test]
    async fn one_that_never_asked_goes_before_an_older_one_that_did() {
        let connections = Connections { most: 2, open: Mutex::default() };
        let kept = Activity::new();
        let first = admit(&connections, &kept).await;
        drop(kept.begin_answer());
        let second = admit(&connections, &Activity::new()).await;
        let third = admit(&connections, &Activity::new()).await;
        assert_eq!((is_open(&first), is_open(&second), is_open(&third)), (true, false, true));
    }

    #[tokio::test]
    async fn one_whose_answer_is_not_taken_goes_last() {
        let connections = Connections { most: 2, open: Mutex::default() };
        let (stalled, kept) = (Activity::new(), Activity::new());
        let (first, second) = (admit(&connections, &stalled).await, admit(&connections, &kept).await);
        let _answering = stalled.begin_answer();
        stalled.has_written(&Poll::Pending);
        drop(kept.begin_answer());
        let busy = Activity::new();
        let third = admit(&connections, &busy).await;
        assert_eq!((is_open(&first), is_open(&second), is_open(&third)), (true, false, true));
        let _also_answering = busy.begin_answer();
        let fourth = admit(&connections, &Activity::new()).await;
        assert_eq!((is_open(&first), is_open(&third), is_open(&fourth)), (false, true, true));
    }
}
