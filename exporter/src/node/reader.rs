//! Reads that can hang, on a thread of their own.
//!
//! One thread does them all. When it does not come back, it is left to the file that it waits for, and another one
//! takes its place, which passes that file over: there are never more threads than files, and one more.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::procfs::{NODE_FILES, OPTIONAL_FILES};

/// Each file can cost one attempt, and then one is left for the rest.
#[allow(clippy::cast_possible_truncation)]
const ATTEMPTS: u32 = (NODE_FILES.len() + OPTIONAL_FILES.len()) as u32 + 1;

type Job = Box<dyn FnOnce() + Send>;

/// Where such reads are done. There is no thread before the first.
#[derive(Default)]
pub struct Reader(Mutex<Worker>);

#[derive(Default)]
struct Worker {
    jobs: Option<Sender<Job>>,
    /// How many threads there have been.
    generation: u64,
}

impl Reader {
    /// Runs `job`, which reads some of a node's files, and returns what it gives; none where that takes longer than
    /// `patience`.
    ///
    /// When an attempt takes its share of that time, `give_up` is called, which must make the next one pass over the
    /// file that hangs. Needs a tokio runtime with a clock.
    pub async fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        give_up: impl Fn(),
        job: impl Fn() -> T + Clone + Send + 'static,
    ) -> Option<T> {
        for _ in 0..ATTEMPTS {
            let (answer, answered) = oneshot::channel();
            let job = job.clone();
            let generation = self.send(Box::new(move || {
                // Whoever asked may have left while this one waited its turn.
                if !answer.is_closed() {
                    let _ = answer.send(job());
                }
            }))?;
            match timeout(patience / ATTEMPTS, answered).await {
                Ok(answer) => return answer.ok(),
                Err(_) => self.leave(generation, &give_up),
            }
        }
        None
    }

    /// Hands the job to the thread, and says which one that is. None where no thread can be had.
    fn send(&self, job: Job) -> Option<u64> {
        let mut worker = self.lock();
        if worker.jobs.is_none() {
            let (jobs, todo) = channel::<Job>();
            thread::Builder::new()
                .name("procfs-reader".into())
                .spawn(move || todo.iter().for_each(|job| job()))
                .ok()?;
            worker.jobs = Some(jobs);
            worker.generation += 1;
        }
        worker.jobs.as_ref()?.send(job).ok()?;
        Some(worker.generation)
    }

    /// The thread ends when it comes back; unless another request has left it already.
    fn leave(&self, generation: u64, give_up: impl Fn()) {
        let mut worker = self.lock();
        if worker.generation == generation && worker.jobs.take().is_some() {
            give_up();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Worker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc::Receiver;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A job that waits to be let go unless it has been given up, as a file that hangs.
    #[derive(Clone)]
    struct Hangs {
        given_up: Arc<AtomicBool>,
        begun: Arc<AtomicUsize>,
        go: Arc<Mutex<Receiver<()>>>,
    }

    fn hangs() -> (Sender<()>, Hangs) {
        let (let_go, go) = channel();
        (let_go, Hangs { given_up: Arc::default(), begun: Arc::default(), go: Arc::new(Mutex::new(go)) })
    }

    impl Hangs {
        fn job(&self) -> impl Fn() -> &'static str + Clone + Send + 'static {
            let this = self.clone();
            move || {
                this.begun.fetch_add(1, Ordering::SeqCst);
                if this.given_up.load(Ordering::SeqCst) {
                    return "passed over";
                }
                let _ = this.go.lock().unwrap().recv();
                "read"
            }
        }

        fn give_up(&self) -> impl Fn() {
            || self.given_up.store(true, Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn what_does_not_hang_is_answered_on_one_thread() {
        let reader = Reader::default();
        let name = || thread::current().id();
        let first = reader.run(LONG, || panic!("nothing hangs"), name).await;
        assert_eq!(first, reader.run(LONG, || panic!("nothing hangs"), name).await);
        assert!(first.is_some_and(|id| id != thread::current().id()));
    }

    #[tokio::test]
    async fn what_hangs_is_passed_over_by_another_thread() {
        let (let_go, hangs) = hangs();
        let reader = Reader::default();
        let answer = reader.run(Duration::from_secs(2), hangs.give_up(), hangs.job()).await;
        assert_eq!((answer, hangs.begun.load(Ordering::SeqCst)), (Some("passed over"), 2));
        assert_eq!(reader.run(LONG, || panic!("the new thread is free"), || 7).await, Some(7));
        drop(let_go);
    }

    #[tokio::test]
    async fn patience_ends() {
        let (let_go, hangs) = hangs();
        let reader = Reader::default();
        let left = AtomicUsize::new(0);
        let give_up = || {
            left.fetch_add(1, Ordering::SeqCst);
        };
        assert_eq!(reader.run(Duration::from_millis(200), give_up, hangs.job()).await, None);
        // One for each file that can hang, and one for the rest.
        assert_eq!(left.load(Ordering::SeqCst), NODE_FILES.iter().chain(&OPTIONAL_FILES).count() + 1);
        drop(let_go);
    }

    /// Two requests wait for one thread: it is left once, and what waits in its queue is not read for nobody.
    #[tokio::test]
    async fn a_thread_that_hangs_is_left_once() {
        let (let_go, hangs) = hangs();
        let reader = Reader::default();
        let second = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&second);
        // A share that a new thread keeps to on the busiest machine.
        let patience = Duration::from_secs(10);
        let (first, counted) = tokio::join!(
            reader.run(patience, hangs.give_up(), hangs.job()),
            reader.run(patience, hangs.give_up(), move || counts.fetch_add(1, Ordering::SeqCst)),
        );
        assert_eq!((first, counted), (Some("passed over"), Some(0)));
        assert_eq!(reader.lock().generation, 2);
        drop(let_go);
        assert_eq!(second.load(Ordering::SeqCst), 1);
    }
}
