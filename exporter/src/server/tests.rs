//! Shutdown with a handler that waits, which no collector does: in process, over real sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{GRACE, Listener, bind, serve, serve_stream};

const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_request_being_answered_is_finished_and_nothing_new_begins() {
    let server = Server::start();
    let mut client = server.request_that_waits().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    server.signal();
    assert_eq!(timeout(SOON, idle.read(&mut [0])).await.unwrap().unwrap(), 0, "an idle connection is closed at once");
    assert_eq!(TcpStream::connect(server.address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    server.go.notify_one();
    let mut answer = String::new();
    timeout(SOON, client.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\ndone"), "{answer}");
    timeout(SOON, server.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let server = Server::start();
    let _client = server.request_that_waits().await;
    let began = Instant::now();
    server.signal();
    timeout(GRACE + SOON, server.task).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() >= GRACE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let server = Server::start();
    let _client = server.request_that_waits().await;
    server.signal();
    server.signal();
    timeout(SOON, server.task).await.unwrap().unwrap().unwrap();
}

/// Not as long as the pause before it may last.
#[tokio::test(start_paused = true)]
async fn the_head_of_a_second_request_may_take_as_long_as_the_first() {
    let (mut client, stream) = tokio::io::duplex(4096);
    tokio::spawn(serve_stream(stream, Router::new().route("/", get(async || "done"))));
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"done") {
        answer.push(client.read_u8().await.unwrap());
    }
    let pause = Duration::from_secs(100);
    assert!(timeout(pause, client.read_u8()).await.is_err(), "the pause may last longer");
    client.write_all(b"GET / HT").await.unwrap();
    let began = Instant::now();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?}");
}

struct Server {
    address: SocketAddr,
    task: JoinHandle<anyhow::Result<()>>,
    signals: mpsc::UnboundedSender<&'static str>,
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

impl Server {
    fn start() -> Self {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (says_begun, waits) = (Arc::clone(&begun), Arc::clone(&go));
        let handler = async move || {
            says_begun.notify_one();
            waits.notified().await;
            "done"
        };
        let listener = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let (signals, signalled) = mpsc::unbounded_channel();
        let task =
            tokio::spawn(serve(vec![Listener::new(listener, Router::new().route("/", get(handler)), None)], signalled));
        Self { address, task, signals, begun, go }
    }

    async fn request_that_waits(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        timeout(SOON, self.begun.notified()).await.unwrap();
        client
    }

    fn signal(&self) {
        self.signals.send("TEST").unwrap();
    }
}
