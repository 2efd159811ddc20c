//! At most so many scrapes at once, each counted until the last of its answer has been handed over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
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

impl Permit {
    /// A body that gives the permit back when it is dropped, which is when the connection has taken the whole answer over.
    /// A client that does not read holds its connection then, and no scrape.
    pub(super) fn body(self, text: String) -> Body {
        Body::new(Counted { text: Some(text), _permit: self })
    }
}

struct Counted {
    text: Option<String>,
    _permit: Permit,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.text.take().map(|text| Ok(Frame::data(Bytes::from(text)))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.text.as_ref().map_or(0, |text| text.len() as u64))
    }
}
