//! At most so many requests at once, each counted until its permit is dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) struct RequestLimit {
    most: usize,
    permits: Arc<Semaphore>,
}

impl RequestLimit {
    /// 0 is no limit.
    pub(super) fn new(most: usize) -> Self {
        let permits = if most == 0 { Semaphore::MAX_PERMITS } else { most.min(Semaphore::MAX_PERMITS) };
        Self { most, permits: Arc::new(Semaphore::new(permits)) }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Returns none when the limit is reached: a client learns so at once instead of waiting.
    pub(super) fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }
}
