//! What a connection is doing, so that the server knows how long it may go on and whether it may be cut.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

const HEAD: Duration = Duration::from_secs(10);
const BETWEEN_REQUESTS: Duration = Duration::from_secs(150);
const STALLED: Duration = Duration::from_secs(30);

/// Shared by a connection's stream, its service and its answers' bodies, which each see one part of what happens.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    since: Instant,
    /// Whether a request has been answered.
    served: bool,
    /// Since when the client has not taken what was written.
    stalled: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A request's head is awaited or has begun.
    Head,
    /// A request is with its handler, or its answer's body is not yet written.
    Answering,
    /// A request has been answered, and the next has not begun.
    Between,
}

/// What would be lost with a connection, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// It never completed a request.
    Nothing,
    /// It is between two requests.
    Kept,
    /// Its client does not take the answer, which may end in the middle.
    Stalled,
}

impl Activity {
    pub(super) fn new() -> Self {
        let state = State { phase: Phase::Head, since: Instant::now(), served: false, stalled: None };
        Self(Arc::new(Mutex::new(state)))
    }

    /// What closing it would cost, and since when; none while a request is being answered.
    pub(super) fn worth(&self) -> Option<(Worth, Instant)> {
        let state = self.lock();
        match (state.stalled, state.phase) {
            (Some(since), _) => Some((Worth::Stalled, since)),
            (None, Phase::Answering) => None,
            (None, _) if state.served => Some((Worth::Kept, state.since)),
            (None, _) => Some((Worth::Nothing, state.since)),
        }
    }

    /// Whether a complete request is still without its whole answer.
    pub(super) fn is_answering(&self) -> bool {
        let state = self.lock();
        state.phase == Phase::Answering || state.stalled.is_some()
    }

    /// When patience ends; a handler is trusted to come back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        match (state.stalled, state.phase) {
            (Some(since), _) => Some(since + STALLED),
            (None, Phase::Head) => Some(state.since + HEAD),
            (None, Phase::Between) => Some(state.since + BETWEEN_REQUESTS),
            (None, Phase::Answering) => None,
        }
    }

    /// A request is complete. The returned guard lives in its answer's body.
    pub(super) fn begin_answer(&self) -> Answering {
        self.enter(Phase::Answering);
        Answering(self.clone())
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        state.since = Instant::now();
    }

    fn has_read(&self) {
        if self.lock().phase == Phase::Between {
            self.enter(Phase::Head);
        }
    }

    pub(super) fn has_written(&self, outcome: &Poll<io::Result<usize>>) {
        let mut state = self.lock();
        match outcome {
            Poll::Pending => {
                state.stalled.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => state.stalled = None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says when it is dropped that a request has been answered.
pub(super) struct Answering(Activity);

impl Answering {
    pub(super) fn attach(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| Body::new(Guarded { body, _answering: self }))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.enter(Phase::Between);
        self.0.lock().served = true;
    }
}

struct Guarded {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Guarded {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's stream, which tells its [`Activity`] what is read and written.
pub(super) struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.has_read();
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.has_written(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.activity.has_written(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, BufWriter};

    use super::*;

    #[tokio::test]
    async fn the_stream_below_is_written_flushed_and_shut_down() {
        let mut stream = Watched::new(BufWriter::new(Vec::new()), Activity::new());
        assert!(stream.is_write_vectored());
        stream.write_all(b"first").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(stream.stream.get_ref(), b"first");
        stream.write_all(b", last").await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.stream.get_ref(), b"first, last");
    }
}
