//! The limits of a connection from both sides: nothing is cut before its time is over, and everything right after. The
//! clock is tokio's, and goes on to the next timer as soon as nothing else is left to do.

use std::net::TcpStream;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use mini_node_exporter::http::{self, ExporterOptions, ExporterState};
use mini_node_exporter::server;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

const HEAD: Duration = Duration::from_secs(10);
const BETWEEN_REQUESTS: Duration = Duration::from_secs(150);
const STALLED: Duration = Duration::from_secs(30);
const HEAD_SIZE: usize = 16 * 1024;
const SCRAPES: usize = 40;

/// A timer's resolution, and time to spare.
const MOMENT: Duration = Duration::from_millis(10);

const LIVE: &str = "GET /healthz/live HTTP/1.1\r\nHost: test\r\n\r\n";
const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_begin() {
    let (_client, server) = connect(&app(ExporterOptions::default()));
    assert_ends_after(HEAD, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles() {
    let (mut client, server) = connect(&app(ExporterOptions::default()));
    tokio::spawn(async move {
        while client.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    assert_ends_after(HEAD, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_complete_in_time() {
    let (mut client, _server) = connect(&app(ExporterOptions::default()));
    let (begin, end) = LIVE.split_at(10);
    client.write_all(begin.as_bytes()).await.unwrap();
    sleep(HEAD.saturating_sub(MOMENT)).await;
    client.write_all(end.as_bytes()).await.unwrap();
    assert_eq!(status(&mut client).await, "200");
}

#[tokio::test(start_paused = true)]
async fn a_connection_between_two_requests() {
    let (mut client, server) = connect(&app(ExporterOptions::default()));
    for _ in 0..3 {
        client.write_all(LIVE.as_bytes()).await.unwrap();
        assert_eq!(status(&mut client).await, "200");
        sleep(BETWEEN_REQUESTS.saturating_sub(MOMENT)).await;
    }
    assert_ends_after(MOMENT, server).await;
}

/// It has begun, even if it came together with the request before.
#[tokio::test(start_paused = true)]
async fn a_half_request_behind_a_whole_one() {
    for half in ["G", "GET /metrics HTTP/1.1\r\nHost: test\r\n"] {
        let (mut client, server) = connect(&app(ExporterOptions::default()));
        client.write_all(format!("{LIVE}{half}").as_bytes()).await.unwrap();
        assert_eq!(status(&mut client).await, "200");
        assert_ends_after(HEAD, server).await;
    }
}

/// A client that reads a little now and then is slow, not gone.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken() {
    let (mut client, server) = connect(&app(long_answers()));
    client.write_all(METRICS.as_bytes()).await.unwrap();
    for _ in 0..10 {
        sleep(STALLED.saturating_sub(MOMENT)).await;
        client.read_exact(&mut [0]).await.unwrap();
    }
    assert_ends_after(STALLED, server).await;
}

/// One scrape at a time: the next is answered once the one before was dropped, or its client has disconnected.
#[tokio::test(start_paused = true)]
async fn a_scrape_that_comes_to_no_end_is_not_counted_for_ever() {
    let app = app(ExporterOptions { max_requests: 1, ..long_answers() });
    for client_goes in [false, true] {
        let (mut stalled, server) = connect(&app);
        stalled.write_all(METRICS.as_bytes()).await.unwrap();
        sleep(MOMENT).await;
        if client_goes {
            drop(stalled);
        }
        timeout(STALLED * 2, server).await.expect("it goes on").unwrap();
        let client = if client_goes { "went" } else { "did not read" };
        assert_eq!(asked(&app, METRICS).await, "200", "after a client that {client}");
    }
}

#[tokio::test]
async fn as_many_scrapes_at_once_as_the_default_says() {
    let app = app(ExporterOptions::default());
    let scrape = async || app.clone().oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    let mut under_way = Vec::new();
    for number in 1..=SCRAPES {
        under_way.push(scrape().await);
        assert_eq!(under_way[number - 1].status(), 200, "scrape {number}");
    }
    assert_eq!(scrape().await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn the_size_of_a_head() {
    let app = app(ExporterOptions::default());
    for (size, expected) in [(HEAD_SIZE - 1, "200"), (HEAD_SIZE + 1, "431")] {
        let begin = "GET /healthz/live HTTP/1.1\r\nHost: test\r\nX-Long: ";
        let head = format!("{begin}{}\r\n\r\n", "x".repeat(size - begin.len() - 4));
        assert_eq!(asked(&app, &head).await, expected, "a head of {size} bytes");
    }
}

/// What clients that never read leave in the kernel counts for the limit of the container. Doubled, because each buffer
/// may also hold the kernel's own book-keeping.
#[test]
fn every_connection_fits_into_the_memory_limit_of_the_manifest() {
    let listener = server::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap().remove(0);
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    listener.set_nonblocking(false).unwrap();
    let (connection, _) = listener.accept().unwrap();
    let connection = SockRef::from(&connection);
    let buffers = connection.send_buffer_size().unwrap() + connection.recv_buffer_size().unwrap();
    let kernel = server::MOST_CONNECTIONS * buffers * 2;
    // Room for what the exporter itself holds with every connection open: `abuse` measures that on the shipped binary.
    let resident = 12 << 20;
    let manifest = include_str!("../../../kustomize/exporter/daemon-set.yaml");
    let limit =
        manifest.split("limits:").nth(1).and_then(|rest| rest.split("memory: ").nth(1)?.lines().next()).unwrap();
    let limit = limit.strip_suffix("Mi").unwrap().parse::<usize>().unwrap() << 20;
    assert!(kernel + resident < limit, "{kernel} bytes of buffers and {resident} resident exceed {limit}");
}

fn app(config: ExporterOptions) -> Router {
    http::router(ExporterState::new(config))
}

/// The kernel's own tree, which is read on the caller's thread: no other thread keeps the clock waiting.
fn long_answers() -> ExporterOptions {
    ExporterOptions { node_name: Some("long".repeat(25_000)), ..ExporterOptions::default() }
}

/// A client, and the task that serves it. Between the two fits less than an answer.
fn connect(app: &Router) -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = tokio::io::duplex(1024);
    (client, tokio::spawn(server::serve_stream(server, app.clone())))
}

/// The status of the answer to one request on a connection of its own.
async fn asked(app: &Router, request: &str) -> String {
    let (client, _server) = connect(app);
    let (mut reader, mut writer) = tokio::io::split(client);
    // It may answer and close before it has read everything.
    let (_, status) = tokio::join!(writer.write_all(request.as_bytes()), status(&mut reader));
    status
}

/// Reads the start of an answer, which is all of a short one.
async fn status(reader: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = [0; 1024];
    let length = reader.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_else(|| panic!("{answer:?}")).to_string()
}

async fn assert_ends_after(limit: Duration, server: JoinHandle<()>) {
    let began = Instant::now();
    timeout(limit * 100, server).await.expect("it goes on").unwrap();
    let took = began.elapsed();
    assert!(took >= limit.saturating_sub(MOMENT) && took <= limit + MOMENT, "it ended after {took:?}, not {limit:?}");
}
