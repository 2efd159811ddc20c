//! Clients that only hold a connection.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::support::{Client as Connection, Exporter, allow_descriptors, pause};

/// What clients may cost, however many there are: 256 connections, each with two buffers of 16 KiB.
const MOST_MEMORY: u64 = 256 * 2 * 16 * 1024;

#[derive(Clone, Copy, Debug)]
enum Client {
    Silent,
    HalfHead,
    AfterOneRequest,
}

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn a_hundred_silent_clients() {
    hold(100, Client::Silent);
}

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn six_hundred_silent_clients() {
    hold(600, Client::Silent);
}

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn five_thousand_silent_clients() {
    hold(5000, Client::Silent);
}

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn five_thousand_half_heads() {
    hold(5000, Client::HalfHead);
}

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn five_hundred_kept_connections() {
    hold(512, Client::AfterOneRequest);
}

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn five_thousand_kept_connections() {
    hold(5000, Client::AfterOneRequest);
}

/// A Prometheus that scraped before the crowd came keeps its connection: it has completed a request, they have not.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn a_kept_connection_outlives_a_crowd_that_never_ends() {
    allow_descriptors(6000);
    let exporter = Exporter::start(&[]);
    let mut prometheus = Connection::new(exporter.connect());
    prometheus.scrape();
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut crowd = Vec::new();
            for _ in 0..20_000 {
                if over.load(Relaxed) {
                    break;
                }
                crowd.push(exporter.connect());
                if crowd.len() > 2000 {
                    crowd.clear();
                }
                // A new client must send its request before 256 others have come, also on a busy machine.
                pause(Duration::from_micros(500));
            }
        });
        for _ in 0..5 {
            prometheus.scrape();
            exporter.assert_answers_at_once("under a crowd that never ends");
        }
        over.store(true, Relaxed);
    });
    prometheus.scrape();
}

/// With 64 descriptors there is room for few connections, and still for what a scrape reads.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn a_crowd_with_64_descriptors() {
    let exporter = Exporter::limited(64, &[]);
    let crowd: Vec<TcpStream> = (0..500).map(|_| exporter.connect()).collect();
    exporter.assert_answers_at_once("with 64 descriptors and 500 clients");
    let log = exporter.log();
    assert!(!log.contains("level=error"), "{log}");
    drop(crowd);
}

#[track_caller]
fn hold(count: usize, kind: Client) {
    allow_descriptors(6000);
    let exporter = Exporter::start(&[]);
    for _ in 0..100 {
        exporter.scrape();
    }
    let before = exporter.resident();
    let crowd: Vec<Connection> = (0..count)
        .map(|_| {
            let mut client = Connection::new(exporter.connect());
            match kind {
                Client::Silent => {}
                Client::HalfHead => client.send(b"GET /metrics HTTP/1.1\r\nHost: abuse\r\nX-Half: ").unwrap(),
                Client::AfterOneRequest => drop(client.scrape()),
            }
            client
        })
        .collect();
    exporter.assert_answers_at_once(&format!("{count} clients, {kind:?}"));
    let more = exporter.resident().saturating_sub(before);
    println!("{count} clients, {kind:?}: {more} bytes more");
    assert!(more <= MOST_MEMORY, "{count} clients cost {more} bytes");
    drop(crowd);
}
