//! What a connection is doing: how long it may go on, and how valuable it is.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::sync::lock;

/// Timeout of a request head, including the TLS handshake.
pub(super) const HEAD: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(150);
const STALLED: Duration = Duration::from_secs(30);

/// Shared by a connection's stream, its requests and their answers, which each see one part of what happens.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<ConnectionState>>);

struct ConnectionState {
    phase: Phase,
    since: Instant,
    /// Since when the client has not taken what was written.
    stalled: Option<Instant>,
    /// The last two bytes that were read, without carriage returns. An empty line ends a head; other bytes at the end of an
    /// answer are those of a pipelined request.
    tail: [u8; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A TLS handshake is under way.
    Handshake,
    /// The head of the first request is awaited or has begun.
    FirstHead,
    /// A request is with its handler, or hyper has not taken all of its answer's body.
    Answering,
    /// A request has been answered, and the next has not begun.
    Idle,
    /// The head of another request has begun.
    NextHead,
}

/// Eviction rank of a connection, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EvictionRank {
    /// Its TLS handshake is under way.
    Handshake,
    /// It never completed a request.
    NoRequest,
    /// It is between two requests, or awaits the rest of the next one's head.
    Idle,
    /// Its client does not read the response; eviction truncates it.
    Stalled,
}

impl Activity {
    pub(super) fn new(with_handshake: bool) -> Self {
        let phase = if with_handshake { Phase::Handshake } else { Phase::FirstHead };
        Self(Arc::new(Mutex::new(ConnectionState { phase, since: Instant::now(), stalled: None, tail: *b"\n\n" })))
    }

    /// Returns the eviction rank and its start; `None` while a request is being answered.
    pub(super) fn rank(&self) -> Option<(EvictionRank, Instant)> {
        let seen = lock(&self.0);
        match (seen.stalled, seen.phase) {
            (Some(since), _) => Some((EvictionRank::Stalled, since)),
            (None, Phase::Handshake) => Some((EvictionRank::Handshake, seen.since)),
            (None, Phase::FirstHead) => Some((EvictionRank::NoRequest, seen.since)),
            (None, Phase::Idle | Phase::NextHead) => Some((EvictionRank::Idle, seen.since)),
            (None, Phase::Answering) => None,
        }
    }

    /// Whether a complete request is still without its whole answer.
    pub(super) fn is_answering(&self) -> bool {
        let seen = lock(&self.0);
        seen.phase == Phase::Answering || seen.stalled.is_some()
    }

    /// When to close it; `None` while a handler runs.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let seen = lock(&self.0);
        match (seen.stalled, seen.phase) {
            (Some(since), _) => Some(since + STALLED),
            (None, Phase::Handshake | Phase::FirstHead | Phase::NextHead) => Some(seen.since + HEAD),
            (None, Phase::Idle) => Some(seen.since + IDLE),
            (None, Phase::Answering) => None,
        }
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Keeps `since`: the handshake and the first head share one deadline.
    pub(super) fn end_handshake(&self) {
        lock(&self.0).phase = Phase::FirstHead;
    }

    /// Marks a request as complete. Hold the guard until the response body is dropped.
    pub(super) fn begin_answer(&self) -> AnswerGuard {
        lock(&self.0).enter(Phase::Answering);
        AnswerGuard(self.clone())
    }

    fn has_read(&self, bytes: &[u8]) {
        let mut seen = lock(&self.0);
        for byte in bytes.iter().skip(bytes.len().saturating_sub(4)).filter(|byte| **byte != b'\r') {
            seen.tail = [seen.tail[1], *byte];
        }
        if seen.phase == Phase::Idle && !bytes.is_empty() {
            seen.enter(Phase::NextHead);
        }
    }

    pub(super) fn has_written(&self, is_pending: bool) {
        let mut seen = lock(&self.0);
        if is_pending {
            seen.stalled.get_or_insert_with(Instant::now);
        } else {
            seen.stalled = None;
        }
    }
}

impl ConnectionState {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }
}

/// A request that is being answered, until this is dropped.
pub(super) struct AnswerGuard(Activity);

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        let mut seen = lock(&self.0.0);
        // Bytes after this request begin the next one, unless they end a head.
        let phase = if seen.tail == *b"\n\n" { Phase::Idle } else { Phase::NextHead };
        seen.enter(phase);
    }
}

/// A connection's stream, which tells its [`Activity`] what is read and written.
pub(super) struct ObservedStream<S> {
    stream: S,
    activity: Activity,
}

impl<S> ObservedStream<S> {
    pub(super) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ObservedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.activity.has_read(buf.filled().get(before..).unwrap_or_default());
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ObservedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.has_written(outcome.is_pending());
        outcome
    }

    /// TLS takes what is written into a buffer of its own: only flushing it waits for the client.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.activity.has_written(outcome.is_pending());
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
