//! Checking passwords, which takes some 50 ms of CPU time each, by design, without delaying other clients.
//!
//! One is checked at a time, on a thread of its own that ends when there is nothing left to do. Valid passwords are cached,
//! so that guesses do not delay a known client. Networks take turns, so that guesses from one delay a client of another by
//! two checks at most. Only few checks wait, so that guesses do not use up the server's connections.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::oneshot;

use super::error::ConfigError;
use super::format::User;
use crate::sync::lock;

/// How many valid passwords are cached.
const CACHED: usize = 128;
/// How many checks may wait.
const WAITING: usize = 16;

/// The result of checking a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Valid.
    Good,
    /// Missing.
    Missing,
    /// Invalid.
    Bad,
    /// Not checked: too many checks are pending.
    Busy,
    /// Not checked: the thread cannot be started.
    NoThread,
}

pub(super) struct PasswordChecker {
    key: hmac::Key,
    checker: Arc<Mutex<CheckerState>>,
}

impl PasswordChecker {
    pub(super) fn new() -> Result<Self, ConfigError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| ConfigError::new("cannot get random numbers"))?;
        Ok(Self { key, checker: Arc::default() })
    }

    /// Whether a request with these headers comes from one of the users.
    pub(super) async fn check(&self, users: &[User], headers: &HeaderMap, peer: IpAddr) -> AuthOutcome {
        let Some((name, password)) = headers.get(AUTHORIZATION).and_then(credentials) else {
            return AuthOutcome::Missing;
        };
        let user = users.iter().find(|user| user.name == name).cloned();
        let mac = user.as_ref().map(|user| self.mac(user, &password));
        let (answer, answered) = oneshot::channel();
        {
            let mut checker = lock(&self.checker);
            if mac.is_some_and(|mac| checker.right.contains(&mac)) {
                return AuthOutcome::Good;
            }
            if !checker.working {
                let theirs = Arc::clone(&self.checker);
                let thread = std::thread::Builder::new().name("passwords".to_string()).spawn(move || work(&theirs));
                if thread.is_err() {
                    return AuthOutcome::NoThread;
                }
                checker.working = true;
            }
            let cost = users.iter().map(|user| user.cost).max().unwrap_or_default();
            checker.queue.push(network(peer), PasswordCheck { user, mac, cost, password: password.into(), answer });
        }
        match answered.await {
            Ok(true) => AuthOutcome::Good,
            Ok(false) => AuthOutcome::Bad,
            Err(_) => AuthOutcome::Busy,
        }
    }

    /// Returns a keyed hash of a user's password, so that the cache holds no password.
    fn mac(&self, user: &User, password: &[u8]) -> PasswordMac {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.name.as_bytes(), user.hash.as_bytes(), password] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut mac = PasswordMac::default();
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

/// The name and the password of `Basic` credentials.
fn credentials(value: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(decoded.get(..colon)?).ok()?;
    Some((name.to_string(), decoded.get(colon + 1..)?.to_vec()))
}

type PasswordMac = [u8; 32];

struct PasswordCheck {
    /// `None` for an unknown name, which has no keyed hash either.
    user: Option<User>,
    mac: Option<PasswordMac>,
    /// Of the most expensive hash.
    cost: u32,
    password: Box<[u8]>,
    answer: oneshot::Sender<bool>,
}

impl PasswordCheck {
    /// Takes as long for every name and password. Pads a cheaper hash of cost c to the work of the most expensive one:
    /// 2^c plus one dummy of each cost from c to max-1 is 2^max.
    fn is_right(&self) -> bool {
        let is_right =
            self.user.as_ref().is_some_and(|user| bcrypt::verify(&self.password, &user.hash).unwrap_or(false));
        let rest = match &self.user {
            Some(user) => user.cost..self.cost,
            None => self.cost..self.cost + 1,
        };
        for cost in rest {
            black_box(bcrypt::bcrypt(cost, [0; 16], b"padding"));
        }
        is_right
    }
}

/// State shared by the checker thread and waiting requests.
#[derive(Default)]
struct CheckerState {
    right: VecDeque<PasswordMac>,
    queue: CheckQueue,
    working: bool,
}

fn work(checker: &Mutex<CheckerState>) {
    loop {
        let check = {
            let mut checker = lock(checker);
            let Some(check) = checker.queue.pop() else {
                checker.working = false;
                return;
            };
            check
        };
        let is_right = check.is_right();
        if let Some(mac) = check.mac.filter(|_| is_right) {
            let right = &mut lock(checker).right;
            right.truncate(CACHED - 1);
            right.push_front(mac);
        }
        let _ = check.answer.send(is_right);
    }
}

/// The waiting checks of each network, which take turns.
#[derive(Default)]
struct CheckQueue(VecDeque<(IpAddr, VecDeque<PasswordCheck>)>);

impl CheckQueue {
    /// Drops the last check of the longest queue when too many wait: it is answered `Busy`.
    fn push(&mut self, network: IpAddr, check: PasswordCheck) {
        match self.0.iter_mut().find(|(waiting, _)| *waiting == network) {
            Some((_, checks)) => checks.push_back(check),
            None => self.0.push_back((network, VecDeque::from([check]))),
        }
        if self.0.iter().map(|(_, checks)| checks.len()).sum::<usize>() > WAITING {
            let longest = self.0.iter_mut().max_by_key(|(_, checks)| checks.len());
            longest.and_then(|(_, checks)| checks.pop_back());
        }
    }

    /// The next check whose client still waits.
    fn pop(&mut self) -> Option<PasswordCheck> {
        loop {
            let (network, mut checks) = self.0.pop_front()?;
            let check = checks.pop_front();
            if !checks.is_empty() {
                self.0.push_back((network, checks));
            }
            if let Some(check) = check.filter(|check| !check.answer.is_closed()) {
                return Some(check);
            }
        }
    }
}

/// An IPv4 address, or the /48 of an IPv6 address: one site usually has as many /64s as it wants.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 80 << 80).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests;
