//! At most so many scrapes at once, each counted until the last of its answer has been handed over.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out as many permits as the limit says; a limit of 0 is none.
pub(super) struct Limit {
    most: usize,
    permits: Option<Arc<Semaphore>>,
}

/// One scrape under way.
pub(super) struct Permit {
    _held: Option<OwnedSemaphorePermit>,
}

impl Limit {
    pub(super) fn new(most: usize) -> Self {
        let permits = (most > 0).then(|| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        Self { most, permits }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// None when the limit is reached: whoever scrapes should hear so at once, not wait.
    pub(super) fn acquire(&self) -> Option<Permit> {
        match &self.permits {
            None => Some(Permit { _held: None }),
            Some(permits) => Arc::clone(permits).try_acquire_owned().ok().map(|permit| Permit { _held: Some(permit) }),
        }
    }
}
