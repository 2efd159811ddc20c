//! The thread for reads that can hang.
//!
//! There is one. While a read blocks it, every request fails at once and names the file, until that read returns.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::procfs::{ReadError, ReadErrorKind, errno};
use crate::sync::lock;

/// A read that takes longer counts as blocked, whatever the timeout.
const BLOCKED_AFTER: Duration = Duration::from_secs(5);

type QueuedJob = Box<dyn FnOnce() + Send>;

/// The thread for reads that can hang; starts at the first.
#[derive(Debug, Default)]
pub struct ReaderThread {
    queue: Mutex<Option<UnboundedSender<QueuedJob>>>,
    current: watch::Sender<Option<CurrentRead>>,
}

#[derive(Debug)]
struct CurrentRead {
    file: PathBuf,
    since: Instant,
}

impl ReaderThread {
    /// Runs `read`, which reads files below `root`, on the thread.
    ///
    /// # Errors
    ///
    /// When it takes longer than `timeout`, when a read blocks the thread, or when no thread can be started.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        root: &Path,
        timeout: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let (mut current, began) = (self.current.subscribe(), Instant::now());
        if let Some(error) = blocked(current.borrow().as_ref(), began) {
            return Err(error);
        }
        let (answer, answered) = oneshot::channel();
        let queued = Box::new(move || {
            // The request may have failed while its read was queued.
            if !answer.is_closed() {
                let _ = answer.send(read());
            }
        });
        self.send(queued).map_err(|error| ReadError::new(root.to_path_buf(), ReadErrorKind::NoThread(error)))?;
        tokio::select! {
            biased;
            Ok(answer) = answered => Ok(answer),
            Some(error) = until_blocked(&mut current, began) => Err(error),
            () = sleep(timeout) => Err(self.time_out(root)),
        }
    }

    /// Notes which file the thread reads, until the guard is dropped.
    pub(super) fn begin(&self, file: PathBuf) -> impl Drop {
        self.current.send_replace(Some(CurrentRead { file, since: Instant::now() }));
        CurrentReadGuard(&self.current)
    }

    fn send(&self, read: QueuedJob) -> Result<(), Errno> {
        let mut queue = lock(&self.queue);
        if queue.is_none() {
            let (sender, mut receiver) = unbounded_channel::<QueuedJob>();
            let work = move || std::iter::from_fn(|| receiver.blocking_recv()).for_each(|read| read());
            thread::Builder::new().name("procfs-reader".into()).spawn(work).map_err(|error| errno(&error))?;
            *queue = Some(sender);
        }
        if let Some(queue) = &*queue {
            let _ = queue.send(read);
        }
        Ok(())
    }

    fn time_out(&self, root: &Path) -> ReadError {
        let file = self.current.borrow().as_ref().map(|read| read.file.clone());
        ReadError::new(file.unwrap_or_else(|| root.to_path_buf()), ReadErrorKind::TimedOut)
    }
}

/// Returns `None` once the sender is gone.
async fn until_blocked(current: &mut watch::Receiver<Option<CurrentRead>>, began: Instant) -> Option<ReadError> {
    loop {
        let since = current.borrow_and_update().as_ref().map(|read| read.since);
        match since {
            None => current.changed().await.ok()?,
            Some(since) => tokio::select! {
                changed = current.changed() => changed.ok()?,
                () = sleep_until(since + BLOCKED_AFTER) => {}
            },
        }
        if let Some(error) = blocked(current.borrow().as_ref(), began) {
            return Some(error);
        }
    }
}

/// Returns an error if the read is blocked. `began` is when the request began.
fn blocked(current: Option<&CurrentRead>, began: Instant) -> Option<ReadError> {
    let read = current.filter(|read| read.since.elapsed() >= BLOCKED_AFTER)?;
    let reason = if read.since < began { ReadErrorKind::Blocked } else { ReadErrorKind::TimedOut };
    Some(ReadError::new(read.file.clone(), reason))
}

struct CurrentReadGuard<'a>(&'a watch::Sender<Option<CurrentRead>>);

impl Drop for CurrentReadGuard<'_> {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn run<T: Send + 'static>(
        reader: &ReaderThread,
        timeout: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadErrorKind> {
        reader.run(Path::new("/root"), timeout, read).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn one_thread_does_every_read() {
        let reader = ReaderThread::default();
        let thread = || thread::current().id();
        let first = run(&reader, LONG, thread).await.unwrap();
        assert_eq!(run(&reader, LONG, thread).await, Ok(first));
        assert_ne!(first, thread::current().id());
    }

    #[tokio::test]
    async fn while_a_read_blocks_every_request_fails_at_once_and_names_the_file() {
        let reader = Arc::new(ReaderThread::default());
        let (let_go, wait) = channel::<()>();
        let reading = Arc::clone(&reader);
        let blocks = move || {
            let _reading = reading.begin("/root/uptime".into());
            let _ = wait.recv();
        };
        let began = Instant::now();
        let (blocks, queued) = tokio::join!(
            reader.run(Path::new("/root"), BLOCKED_AFTER * 2, blocks),
            // Its own timeout is far.
            reader.run(Path::new("/root"), LONG, || ()),
        );
        assert_eq!(blocks.unwrap_err().to_string(), "/root/uptime: read timed out");
        assert_eq!(queued.unwrap_err().to_string(), "/root/uptime: read timed out");
        let later = reader.run(Path::new("/root"), LONG, || ()).await;
        assert_eq!(later.unwrap_err().to_string(), "/root/uptime: a previous read is still blocked");
        assert!(began.elapsed() < LONG / 2, "they waited {:?}", began.elapsed());
        drop(let_go);
        while run(&reader, LONG, || ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_short_timeout_fails_no_other_request() {
        let reader = Arc::new(ReaderThread::default());
        let (let_go, wait) = channel::<()>();
        let reading = Arc::clone(&reader);
        let slow = move || {
            let _reading = reading.begin("/root/uptime".into());
            let _ = wait.recv();
        };
        let short = async {
            sleep(Duration::from_millis(1100)).await;
            let outcome = run(&reader, Duration::from_millis(1), || ()).await;
            // Room for the other to fail.
            sleep(Duration::from_millis(100)).await;
            drop(let_go);
            outcome
        };
        let (slow, short) = tokio::join!(run(&reader, LONG, slow), short);
        assert_eq!((slow, short), (Ok(()), Err(ReadErrorKind::TimedOut)));
    }
}
