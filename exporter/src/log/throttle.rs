//! Limits log lines that clients cause to one per minute and address.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

const MINUTE: Duration = Duration::from_secs(60);
/// At most this many addresses are logged in a minute.
const ADDRESSES: usize = 64;

/// Remembers which addresses were logged within the last minute.
#[derive(Default)]
pub struct LogThrottle(Mutex<Vec<(IpAddr, Instant)>>);

impl LogThrottle {
    /// Whether to log for this address now.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let mut logged = lock(&self.0);
        logged.retain(|(_, at)| at.elapsed() < MINUTE);
        let allowed = logged.len() < ADDRESSES && logged.iter().all(|(known, _)| *known != address);
        if allowed {
            logged.push((address, Instant::now()));
        }
        allowed
    }
}
