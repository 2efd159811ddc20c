//! Checking passwords, which takes some 50 ms of CPU time each, by design, without anybody else paying for it.
//!
//! One is checked at a time, on a thread of its own that ends when there is nothing left to do. Verdicts are
//! remembered, those for right passwords where no number of wrong ones can push them out: a client that has been let
//! in once is not kept waiting by others that guess. Of those that wait, each address has its turn, so that many
//! guesses from one place hold up a client in another for one check; and only few wait, so that guesses do not take
//! up the server's connections.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::oneshot;

use super::config::User;
use super::problem::Problem;

/// How many right passwords are remembered.
const REMEMBERED: usize = 128;
/// How many wrong ones.
const REMEMBERED_WRONG: usize = 128;
/// How many checks may wait.
const WAITING: usize = 16;

/// Whether a name and a password are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are.
    Good,
    /// They are not.
    Bad,
    /// Too many wait to be checked.
    Busy,
}

pub(super) struct Passwords {
    key: hmac::Key,
    shared: Arc<Mutex<Shared>>,
}

impl Passwords {
    pub(super) fn new() -> Result<Self, Problem> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| Problem::new("the kernel gives no random numbers"))?;
        Ok(Self { key, shared: Arc::default() })
    }

    /// A name that is unknown costs what a wrong password does: it is checked against the dearest hash there is.
    pub(super) async fn check(&self, users: &[User], peer: IpAddr, name: &str, password: &[u8]) -> Verdict {
        let known = users.iter().find(|user| user.name == name);
        let Some(user) = known.or_else(|| users.iter().max_by_key(|user| user.cost)) else { return Verdict::Bad };
        let tag = self.tag(name, &user.hash, password);
        let (answer, answered) = oneshot::channel();
        let job = Job { tag, hash: user.hash.clone(), password: password.into(), answer };
        if !self.submit(peer, job) {
            return Verdict::Busy;
        }
        match answered.await {
            Ok(matches) if matches && known.is_some() => Verdict::Good,
            Ok(_) => Verdict::Bad,
            Err(_) => Verdict::Busy,
        }
    }

    /// Answers from memory or puts the job into the queue; false where nobody can work on it.
    fn submit(&self, peer: IpAddr, job: Job) -> bool {
        let mut shared = lock(&self.shared);
        let Some(job) = shared.recall(job) else { return true };
        shared.queue.push(network(peer), job);
        if !shared.working {
            let theirs = Arc::clone(&self.shared);
            let name = "passwords".to_string();
            shared.working = std::thread::Builder::new().name(name).spawn(move || work(&theirs)).is_ok();
        }
        shared.working
    }

    /// Stands for what was checked, and says nothing about it to whoever reads this process's memory.
    fn tag(&self, name: &str, hash: &str, password: &[u8]) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [name.as_bytes(), hash.as_bytes(), password] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

type Tag = [u8; 32];

struct Job {
    tag: Tag,
    hash: String,
    password: Box<[u8]>,
    answer: oneshot::Sender<bool>,
}

#[derive(Default)]
struct Shared {
    right: VecDeque<Tag>,
    wrong: VecDeque<Tag>,
    queue: Queue,
    working: bool,
}

impl Shared {
    /// Answers the job if its verdict is remembered, else gives it back.
    fn recall(&self, job: Job) -> Option<Job> {
        let matches = self.right.contains(&job.tag);
        if !matches && !self.wrong.contains(&job.tag) {
            return Some(job);
        }
        let _ = job.answer.send(matches);
        None
    }

    fn remember(&mut self, tag: Tag, matches: bool) {
        let (tags, most) = if matches { (&mut self.right, REMEMBERED) } else { (&mut self.wrong, REMEMBERED_WRONG) };
        if tags.len() >= most {
            tags.pop_front();
        }
        tags.push_back(tag);
    }
}

fn work(shared: &Mutex<Shared>) {
    loop {
        let job = {
            let mut shared = lock(shared);
            let Some(job) = shared.queue.pop() else {
                shared.working = false;
                return;
            };
            // The same may have been asked twice before the first was answered.
            let Some(job) = shared.recall(job) else { continue };
            job
        };
        let matches = bcrypt::verify(&job.password, &job.hash).unwrap_or(false);
        lock(shared).remember(job.tag, matches);
        let _ = job.answer.send(matches);
    }
}

/// The waiting jobs of each network, whose turns go round.
#[derive(Default)]
struct Queue(VecDeque<(IpAddr, VecDeque<Job>)>);

impl Queue {
    /// Where too many wait, the last of whoever has most of them goes: a job that is dropped is answered `Busy`.
    fn push(&mut self, network: IpAddr, job: Job) {
        match self.0.iter_mut().find(|(waiting, _)| *waiting == network) {
            Some((_, jobs)) => jobs.push_back(job),
            None => self.0.push_back((network, VecDeque::from([job]))),
        }
        if self.0.iter().map(|(_, jobs)| jobs.len()).sum::<usize>() > WAITING {
            let most = self.0.iter_mut().max_by_key(|(_, jobs)| jobs.len());
            most.and_then(|(_, jobs)| jobs.pop_back());
            self.0.retain(|(_, jobs)| !jobs.is_empty());
        }
    }

    /// The next one that somebody still waits for.
    fn pop(&mut self) -> Option<Job> {
        loop {
            let (network, mut jobs) = self.0.pop_front()?;
            let job = jobs.pop_front();
            if !jobs.is_empty() {
                self.0.push_back((network, jobs));
            }
            if let Some(job) = job.filter(|job| !job.answer.is_closed()) {
                return Some(job);
            }
        }
    }
}

/// An IPv4 address, or the 64 bits that one IPv6 client can hardly choose.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
