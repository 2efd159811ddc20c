//! The open connections, and the eviction of the least valuable one.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::activity::{Activity, EvictionRank};
use crate::sync::lock;

/// More than any fleet of Prometheus servers keeps open, and few enough for the memory limit of the manifest.
pub const MOST: usize = 256;
/// Limit of concurrent TLS handshakes; each takes about 1 ms of the only thread.
const HANDSHAKES: usize = 64;
/// File descriptors for everything but connections: standard streams, listeners, the runtime, the files of a scrape.
const OTHER_DESCRIPTORS: u64 = 24;
/// How long to wait before trying again, when every connection is being answered.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections that are open, each with the task that serves it.
pub(super) struct Connections {
    most: usize,
    open: Mutex<Vec<OpenConnection>>,
}

struct OpenConnection {
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

    /// Serves one more connection. Where there is no room, evicts the oldest of the least valuable connections; waits only
    /// while every single one is being answered.
    pub(super) async fn admit(&self, activity: Activity, serve: impl Future<Output = ()> + Send + 'static) {
        while !self.has_room() {
            match self.take_least_valuable() {
                Some(evicted) => {
                    evicted.abort();
                    // The task closes its file descriptor when it ends.
                    let _ = evicted.await;
                }
                None => tokio::time::sleep(PAUSE).await,
            }
        }
        lock(&self.open).push(OpenConnection { activity, task: tokio::spawn(serve) });
    }

    /// Waits until the last connection has ended.
    pub(super) async fn ended(&self) {
        loop {
            let Some(last) = lock(&self.open).pop() else { return };
            let _ = last.task.await;
        }
    }

    fn has_room(&self) -> bool {
        let mut open = lock(&self.open);
        open.retain(|one| !one.task.is_finished());
        let is_handshake =
            |one: &&OpenConnection| one.activity.rank().is_some_and(|(rank, _)| rank == EvictionRank::Handshake);
        open.len() < self.most && open.iter().filter(is_handshake).count() < HANDSHAKES
    }

    fn take_least_valuable(&self) -> Option<JoinHandle<()>> {
        let mut open = lock(&self.open);
        let idle = open.iter().enumerate().filter_map(|(place, one)| Some((one.activity.rank()?, place)));
        let ((rank, _), place) = idle.min()?;
        tracing::debug!(?rank, "connection or handshake limit reached; evicted a connection");
        Some(open.swap_remove(place).task)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::{Arc, Weak};

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
    async fn one_that_is_being_answered_is_never_evicted() {
        let connections = Arc::new(Connections { most: 2, open: Mutex::default() });
        let (busy, also_busy) = (Activity::new(false), Activity::new(false));
        let (first, second) = (admit(&connections, &busy).await, admit(&connections, &also_busy).await);
        let (answering, also_answering) = (busy.begin_answer(), also_busy.begin_answer());
        let newcomer = Activity::new(false);
        let third = admit(&connections, &newcomer);
        tokio::pin!(third);
        assert!(timeout(PAUSE * 4, &mut third).await.is_err(), "there was room for a third");
        assert!(is_open(&first) && is_open(&second));
        drop(also_answering);
        let third = timeout(Duration::from_secs(10), third).await.unwrap();
        assert_eq!((is_open(&first), is_open(&second), is_open(&third)), (true, false, true));
        drop(answering);
    }

    /// From the least valuable to one that is being answered, each of them older than the one before.
    #[tokio::test]
    async fn the_least_valuable_is_evicted_first_and_of_those_the_oldest() {
        let connections = Connections { most: 5, open: Mutex::default() };
        let activities = [false, false, false, false, true].map(Activity::new);
        let mut open = Vec::new();
        for activity in &activities {
            open.push(admit(&connections, activity).await);
        }
        let mut answering = Vec::from([0, 1].map(|place: usize| activities[place].begin_answer()));
        activities[1].has_written(true);
        drop(activities[2].begin_answer());
        for left in (1..5).rev() {
            let newcomer = Activity::new(false);
            answering.push(newcomer.begin_answer());
            admit(&connections, &newcomer).await;
            assert_eq!(open.iter().filter(|one| is_open(one)).count(), left);
            assert!(!is_open(&open[left]), "not the least valuable");
        }
    }

    #[tokio::test]
    async fn handshakes_under_way_are_few_and_the_oldest_makes_room() {
        let connections = Connections { most: MOST, open: Mutex::default() };
        let idle = admit(&connections, &Activity::new(false)).await;
        let mut handshakes = Vec::new();
        for _ in 0..=HANDSHAKES {
            handshakes.push(admit(&connections, &Activity::new(true)).await);
        }
        assert!(is_open(&idle) && !is_open(&handshakes[0]));
        assert!(handshakes[1..].iter().all(is_open));
    }
}
