//! One connection, from its first byte to its end.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::activity::{Activity, HEAD, ObservedStream};
use crate::http;
use crate::log::LogThrottle;
use crate::web_config::{ActiveWebConfig, WebConfigWatcher};

/// Limit of a request head (431 beyond it) and of the TLS write buffer.
const HEAD_BUFFER: usize = 16 * 1024;

/// What the connections of one listener share.
#[derive(Clone)]
pub(super) struct ListenerContext {
    pub(super) app: Router,
    pub(super) web_config: Option<Arc<WebConfigWatcher>>,
    pub(super) stopping: watch::Receiver<bool>,
    /// Limits the log lines about failed TLS handshakes.
    pub(super) refused: Arc<LogThrottle>,
}

/// Plain TCP or TLS.
trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

impl ListenerContext {
    /// Returns the activity of a new connection.
    pub(super) fn activity(&self) -> Activity {
        Activity::new(self.web_config.as_ref().is_some_and(|web_config| web_config.active().has_tls()))
    }

    /// Answers the connection's requests until the client ends it, a deadline passes, the server stops, or the web
    /// configuration changes.
    pub(super) async fn serve<S>(self, stream: S, peer: SocketAddr, activity: Activity)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { app, web_config, mut stopping, refused } = self;
        let mut config = web_config.as_ref().map(|web_config| web_config.subscribe());
        let tls = config.as_ref().and_then(|config| config.borrow().tls());
        let mut closing = pin!(async {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {}
                () = changed(config.as_mut()) => {}
            }
        });
        let stream: Box<dyn ByteStream> = match tls {
            None => Box::new(stream),
            Some(tls) => tokio::select! {
                stream = handshake(tls, stream, peer.ip(), &refused, &activity) => match stream {
                    Some(stream) => Box::new(stream),
                    None => return,
                },
                () = closing.as_mut() => return,
            },
        };
        answer(stream, app, peer, activity, closing).await;
    }
}

/// Waits until the configuration changes; forever without a web configuration or after its watcher ended.
async fn changed(config: Option<&mut watch::Receiver<Arc<ActiveWebConfig>>>) {
    if let Some(config) = config
        && config.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Returns `None` if it fails or takes too long.
async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    tls: Arc<ServerConfig>,
    stream: S,
    peer: IpAddr,
    refused: &LogThrottle,
    activity: &Activity,
) -> Option<TlsStream<S>> {
    let accept = pin!(TlsAcceptor::from(tls).accept(stream));
    match before_deadline(accept, activity).await? {
        Ok(mut stream) => {
            stream.get_mut().1.set_buffer_limit(Some(HEAD_BUFFER));
            activity.end_handshake();
            Some(stream)
        }
        Err(error) => {
            // Other errors are disconnects.
            if error.kind() == ErrorKind::InvalidData && refused.allows(peer) {
                tracing::info!(%peer, %error, "TLS handshake failed");
            }
            None
        }
    }
}

/// Answers requests until the client, a deadline or `closing` ends the connection. hyper's header timeout also runs between
/// requests, so it is not used; its graceful shutdown does not close a half-sent request.
async fn answer(
    stream: Box<dyn ByteStream>,
    app: Router,
    peer: SocketAddr,
    activity: Activity,
    closing: Pin<&mut impl Future<Output = ()>>,
) {
    let stream = TokioIo::new(ObservedStream::new(stream, activity.clone()));
    let app = TowerToHyperService::new(app);
    let service = service_fn(|request: Request<Incoming>| {
        let answering = activity.begin_answer();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = hyper::service::Service::call(&app, request);
        async move { response.await.map(|response| response.map(|body| http::hold(answering, body))) }
    });
    let mut http1 = http1::Builder::new();
    http1.half_close(true).header_read_timeout(None).max_buf_size(HEAD_BUFFER);
    let mut connection = pin!(http1.serve_connection(stream, service));
    tokio::select! {
        // The connection first, so that a request that has arrived is answered even if a signal came with it.
        biased;
        _ = before_deadline(connection.as_mut(), &activity) => return,
        () = closing => {}
    }
    if activity.is_answering() {
        connection.as_mut().graceful_shutdown();
        before_deadline(connection, &activity).await;
    }
}

/// Waits for a future, or returns `None` once the connection's deadline has passed.
async fn before_deadline<F: Future>(mut future: Pin<&mut F>, activity: &Activity) -> Option<F::Output> {
    let mut timer = pin!(sleep_until(Instant::now() + HEAD));
    let mut missed = None;
    loop {
        tokio::select! {
            biased;
            output = future.as_mut() => return Some(output),
            () = expired(activity, timer.as_mut()) => {}
        }
        let deadline = activity.deadline();
        if missed == deadline {
            return None;
        }
        // After a suspension timers fire before pending bytes are read: poll once more.
        missed = deadline;
        tokio::task::yield_now().await;
    }
}

/// Waits for the deadline, which may move; a timer that fires before it is set again.
fn expired(activity: &Activity, mut timer: Pin<&mut Sleep>) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        while let Some(deadline) = activity.deadline() {
            if timer.deadline() > deadline || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            if activity.is_overdue() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })
}
