//! One connection, from its first byte to its end.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::task::Poll;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::activity::{Activity, Watched};
use super::site::Service;
use crate::web::{Peer, Stream};

/// A head that does not fit is answered with 431.
const BUFFER: usize = 16 * 1024;

/// Answers the connection's requests until the client ends it, its patience runs out, or the server stops.
///
/// hyper's own header timeout is not used: it also runs between two requests, and would close every connection that
/// Prometheus keeps open from one scrape to the next. Nor does its graceful shutdown cut a half-sent request.
pub(super) async fn serve<S>(
    stream: S,
    peer: IpAddr,
    activity: Activity,
    Service { app, web }: Service,
    mut stopping: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // What is watched is what crosses the network: a TLS handshake has to be as quick as the head that follows it.
    let stream = TokioIo::new(Stream::new(web.as_deref(), Watched::new(stream, activity.clone())));
    let app = TowerToHyperService::new(app);
    let service = service_fn(|request: Request<Incoming>| {
        let answering = activity.begin_answer();
        let mut request = request.map(Body::new);
        if web.is_some() {
            request.extensions_mut().insert(Peer(peer));
        }
        let response = hyper::service::Service::call(&app, request);
        async move { response.await.map(|response| answering.attach(response)) }
    });
    let mut http = http1::Builder::new();
    http.half_close(true).header_read_timeout(None).max_buf_size(BUFFER);
    let mut connection = pin!(http.serve_connection(stream, service));
    let mut stop = pin!(stopping.wait_for(|stop| *stop));
    let mut patience = pin!(None);
    let mut rings_at = None;
    let mut last = false;
    std::future::poll_fn(|cx| {
        loop {
            // First, so that a request that has arrived is answered even if the signal came with it.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if last || stop.as_mut().poll(cx).is_pending() {
                break;
            }
            if !activity.is_answering() {
                return Poll::Ready(());
            }
            last = true;
            connection.as_mut().graceful_shutdown();
        }
        loop {
            let Some(deadline) = activity.deadline() else { return Poll::Pending };
            // Deadlines mostly move on. A timer that is due before is left to run out, and only then set anew.
            if rings_at.is_none_or(|at| at > deadline) {
                rings_at = Some(deadline);
                patience.set(Some(wait_until(deadline)));
            }
            let Some(Poll::Ready(())) = patience.as_mut().as_pin_mut().map(|timer| timer.poll(cx)) else {
                return Poll::Pending;
            };
            if rings_at == Some(deadline) {
                return Poll::Ready(());
            }
            rings_at = None;
        }
    })
    .await;
}

/// A process that was stopped for a while finds its timers due before it hears of what has arrived meanwhile.
async fn wait_until(deadline: Instant) {
    sleep_until(deadline).await;
    tokio::task::yield_now().await;
}
