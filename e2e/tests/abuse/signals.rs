//! Signals under load, and a log that nobody reads.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Client, Exporter, SCRAPE, patience, pause, until};

/// Every answer that was begun is whole, and the exit code is 0.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn sigterm_in_mid_flight_cuts_no_answer() {
    // Its name is so long that an answer of 400 kB takes many turns.
    let mut exporter = Exporter::start(&["--node-name", &"long".repeat(25_000)]);
    // Connected before the signal: later ones would be refused.
    let clients: Vec<Client> = (0..32).map(|_| Client::new(exporter.connect())).collect();
    let whole = &AtomicU32::new(0);
    std::thread::scope(|threads| {
        for mut client in clients {
            threads.spawn(move || {
                while client.send(SCRAPE).is_ok() {
                    match client.answer() {
                        Ok((status, body)) => assert!(status == 200 && body.ends_with('\n'), "{status} {body}"),
                        // Between two answers; in the middle of one, some bytes would be missing.
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::NotConnected, "cut off in an answer");
                            break;
                        }
                    }
                    whole.fetch_add(1, Relaxed);
                }
            });
        }
        until("there is load", patience(20), || whole.load(Relaxed) > 64);
        exporter.signal(Signal::TERM);
    });
    let began = Instant::now();
    assert_eq!(exporter.ended(patience(5)).code(), Some(0), "{}", exporter.log());
    println!("{whole:?} whole answers; ended {:?} after the last", began.elapsed());
    assert!(!exporter.log().contains("level=error"), "{}", exporter.log());
}

/// As a node that is suspended, or a container that is paused: who waited is answered, and nothing is left over.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn a_pause_ends_with_everybody_answered() {
    let mut exporter = Exporter::start(&[]);
    let idle = exporter.idle_descriptors();
    let accepted: Vec<Client> = (0..100).map(|_| Client::new(exporter.connect())).collect();
    until("they are accepted", patience(10), || exporter.descriptors() == idle + accepted.len());
    exporter.signal(Signal::STOP);
    let queued = (0..100).map(|_| Client::new(exporter.connect()));
    let mut waiting: Vec<Client> = accepted.into_iter().chain(queued).collect();
    for client in &mut waiting {
        client.send(SCRAPE).unwrap();
    }
    // Longer than a head may take: the time that the exporter was stopped is not held against its clients.
    pause(Duration::from_secs(11));
    exporter.signal(Signal::CONT);
    for (number, client) in waiting.iter_mut().enumerate() {
        let (status, _) = client.answer().unwrap_or_else(|error| panic!("client {number}: {error}"));
        assert_eq!(status, 200, "client {number}");
    }
    exporter.assert_answers_at_once("after a pause");
    drop(waiting);
    until("its clients are gone", patience(10), || exporter.descriptors() == idle);
    exporter.signal(Signal::TERM);
    assert_eq!(exporter.ended(patience(5)).code(), Some(0));
}

/// As a container runtime whose disk is full: the pipe is there, and nobody empties it.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn a_log_that_nobody_reads_stops_nothing() {
    let mut exporter = Exporter::with_unread_log(&["--log.level=debug"]);
    for _ in 0..3000 {
        exporter.scrape();
    }
    exporter.assert_answers_at_once("with a log that nobody reads");
    exporter.signal(Signal::TERM);
    assert_eq!(exporter.ended(patience(5)).code(), Some(0));
}
