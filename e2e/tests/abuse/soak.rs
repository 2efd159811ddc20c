//! Memory and descriptors over very many scrapes: a leak is small, and a node runs for years.

use std::io::{Read, Write};
use std::time::Instant;

use crate::support::{Client, Exporter, patience, until};

/// Until buffers and the allocator have found their size.
const WARM_UP: u32 = 10_000;
/// What the allocator may still need: a leak of 64 bytes a scrape is ten times as much after the fewest scrapes below.
const MOST_GROWTH: u64 = 256 * 1024;

/// In the run of every attack.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn fifty_thousand_scrapes_leave_nothing() {
    soak(50_000);
}

/// Takes minutes. `SOAK_SCRAPES` is another count.
#[test]
#[ignore = "takes minutes: run `just soak`"]
fn a_million_scrapes_leave_nothing() {
    let count = std::env::var("SOAK_SCRAPES").map_or(1_000_000, |count| count.parse().unwrap());
    soak(count);
}

#[track_caller]
fn soak(count: u32) {
    let exporter = Exporter::start(&[]);
    let descriptors = exporter.idle_descriptors();
    run(&exporter, WARM_UP);
    let resident = exporter.resident();
    let began = Instant::now();
    run(&exporter, count - WARM_UP);
    let now = exporter.resident();
    println!("{count} scrapes: {resident} bytes resident after {WARM_UP}, {now} at the end, {:?}", began.elapsed());
    until("every descriptor is closed", patience(10), || exporter.descriptors() == descriptors);
    assert!(now <= resident + MOST_GROWTH, "{count} scrapes: {} bytes more", now - resident);
}

/// Most over one connection, as Prometheus does, some over a new one, and all that others ask for besides.
fn run(exporter: &Exporter, count: u32) {
    let mut kept = Client::new(exporter.connect());
    for number in 0..count {
        match number % 50 {
            0 => drop(exporter.scrape()),
            10 => close_after(exporter, "/metrics?collect[]=load"),
            20 => close_after(exporter, "/metrics?collect[]=nope"),
            30 => close_after(exporter, "/healthz/ready"),
            40 => close_after(exporter, "/info/load"),
            _ => drop(kept.scrape()),
        }
    }
}

fn close_after(exporter: &Exporter, path: &str) {
    let mut stream = exporter.connect();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: abuse\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
}
