//! Clients that are slow, silent, wrong, or many.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::shutdown::{LONG, client_that_does_not_read};
use crate::support::running::{Running, SOON, command, length};

const LIVE: &[u8] = b"GET /healthz/live HTTP/1.1\r\nHost: test\r\n\r\n";

/// Each has asked for more than it reads, and is gone with an answer under way.
#[test]
fn clients_that_abort_leave_nothing() {
    let running = Running::start(["--web.max-requests=1", "--node-name", &LONG.repeat(25_000)]);
    let before = running.sockets();
    for _ in 0..20 {
        drop(client_that_does_not_read(&running));
    }
    assert_closed(&running, before, "20 clients that aborted");
    assert_eq!(running.get("/metrics").0, 200, "an aborted scrape is still counted");
}

/// The table is as large as `server` says, and no larger.
#[test]
fn the_257th_connection_takes_the_place_of_the_first() {
    let running = start_limited("ulimit -n 1000; exec \"$0\" --web.listen-address=127.0.0.1:0");
    let mut crowd: Vec<TcpStream> = (0..256).map(|_| running.connect()).collect();
    let is_cut = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        is_closed(stream)
    };
    assert!(!is_cut(&mut crowd[0]), "256 connections do not fit");
    let mut newcomer = running.connect();
    assert_eq!(ask_live(&mut newcomer), *b"ok\n");
    assert!(is_cut(&mut crowd[0]), "257 connections fit");
    assert!(!is_cut(&mut crowd[1]), "two were closed for one");
}

/// What a client sees of HEAD on a connection that goes on: lengths, but no body between two answers.
#[test]
fn head_has_no_body_on_the_wire() {
    let running = Running::start([""; 0]);
    let mut stream = running.connect();
    stream.write_all(b"HEAD /info/load HTTP/1.1\r\nHost: test\r\n\r\nGET /healthz/live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let (head, rest) = answers.split_once("\r\n\r\n").expect(&answers);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-type: application/json"), "{answers}");
    let length = length(head);
    assert!(length >= r#"{"1m":0,"5m":0,"15m":0}"#.len(), "{answers}");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("\r\n\r\nok\n"), "{answers}");
}

/// As `printf … | nc -N` does.
#[test]
fn a_client_that_has_said_all_still_hears_the_answer() {
    let running = Running::start([""; 0]);
    for _ in 0..100 {
        let mut stream = running.connect();
        stream.write_all(LIVE).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer:?}");
    }
}

#[test]
fn nonsense_is_refused_and_nothing_dies_of_it() {
    let running = Running::start([""; 0]);
    let long_head = format!("GET / HTTP/1.1\r\nHost: test\r\nX-Long: {}\r\n\r\n", "x".repeat(64 * 1024));
    let many_heads = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    for (request, status) in [
        (&b"nonsense\r\n\r\n"[..], "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "4"),
        (b"GET /metrics?collect[]=%ff%00&%&&= HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "400"),
        (b"OPTIONS * HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "4"),
        (b"CONNECT test:1 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "4"),
        (b"GET http://other/healthz/live HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", "200"),
        (b"POST /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999\r\n\r\nbody", "405"),
        (long_head.as_bytes(), "431"),
        (many_heads.as_bytes(), "431"),
    ] {
        let mut stream = running.connect();
        // It may answer and close before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let wanted = format!("HTTP/1.1 {status}");
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]);
        assert!(status.is_empty() || answer.starts_with(&wanted), "{shown:?} got {answer:?}");
        assert_eq!(running.get("/healthz/live").0, 200, "after {shown:?}");
    }
}

/// More clients than the process may open files: a new one gets in, and a scrape can still read its files.
#[test]
fn a_crowd_keeps_nobody_out() {
    let running = start_limited("ulimit -n 32; exec \"$0\" --web.listen-address=127.0.0.1:0");
    let mut crowd: Vec<TcpStream> = (0..40).map(|_| running.connect()).collect();
    let scrape = running.get("/metrics").1;
    assert!(scrape.contains("node_scrape_collector_success{collector=\"load\"} 1"), "{scrape}");
    assert!(is_closed(&mut crowd[0]), "the one that has been silent for longest is still there");
    assert_eq!(ask_live(&mut crowd[39]), *b"ok\n");
    drop(crowd);
    assert_eq!(running.get("/metrics").0, 200);
    assert_ended_well(running, 0);
}

/// Of 32 descriptors 24 are for other things, so that 8 connections fit.
#[test]
fn connections_are_evicted_in_the_order_of_their_rank() {
    let running = start_limited("ulimit -n 32; exec \"$0\" --web.listen-address=127.0.0.1:0");
    let kept = || {
        let mut stream = running.connect();
        assert_eq!(ask_live(&mut stream), *b"ok\n");
        stream
    };
    let (mut first, mut second) = (kept(), kept());
    let mut silent: Vec<TcpStream> = (0..6).map(|_| running.connect()).collect();
    // One that has sent half a request has not completed one either.
    silent[0].write_all(b"GET /metrics HT").unwrap();
    assert_eq!(ask_live(&mut first), *b"ok\n");
    let newcomers: Vec<TcpStream> = silent
        .iter_mut()
        .map(|oldest| {
            let newcomer = kept();
            assert!(is_closed(oldest), "a silent connection outlives one that is older");
            newcomer
        })
        .collect();
    let last = kept();
    assert!(is_closed(&mut second), "the oldest of those between two requests goes first");
    for mut stream in newcomers.into_iter().chain([first, last]) {
        assert_eq!(ask_live(&mut stream), *b"ok\n");
    }
    assert_ended_well(running, 0);
}

/// So many listeners that the descriptors run out all the same: one line says so, and nothing spins or ends.
#[test]
fn a_listener_that_cannot_accept_waits() {
    let listeners = "--web.listen-address=127.0.0.1:0 ".repeat(14);
    let mut running = start_limited(&format!("ulimit -n 32; exec \"$0\" {listeners}"));
    let crowd: Vec<TcpStream> = (0..40).map(|_| running.connect()).collect();
    running.wait_for_line("cannot accept connections");
    // It is tried again meanwhile, ten times a second.
    std::thread::park_timeout(Duration::from_millis(500));
    drop(crowd);
    assert_eq!(running.get("/healthz/live").0, 200);
    assert_ended_well(running, 1);
}

fn start_limited(script: &str) -> Running {
    let mut limited = Command::new("sh");
    limited.args(["-c", script]).arg(command().get_program()).env_remove("NODE_NAME");
    Running::start_command(limited)
}

/// Fails unless no more sockets are open than before; those of clients that just went may take a moment.
#[track_caller]
fn assert_closed(running: &Running, before: usize, after: &str) {
    let began = Instant::now();
    while running.sockets() > before {
        assert!(began.elapsed() < SOON, "{} sockets are open after {after}, {before} before", running.sockets());
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[track_caller]
fn assert_ended_well(running: Running, complaints: usize) {
    running.signal(rustix::process::Signal::TERM);
    let (code, log, _) = running.wait(SOON);
    assert_eq!(code, Some(0));
    assert_eq!(log.iter().filter(|line| line.contains("cannot accept")).count(), complaints, "{log:#?}");
}

fn ask_live(stream: &mut TcpStream) -> [u8; 3] {
    stream.write_all(LIVE).unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    let mut body = [0; 3];
    stream.read_exact(&mut body).unwrap();
    body
}

/// Whether the server has closed it, or does before the read timeout.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1024]) {
        Ok(0) => true,
        Ok(_) => panic!("an answer to half a request"),
        Err(error) => match error.kind() {
            // A process that is stopped and continued, as by a debugger or a suspended machine, is interrupted.
            ErrorKind::WouldBlock | ErrorKind::Interrupted => false,
            ErrorKind::ConnectionReset => true,
            _ => panic!("{error}"),
        },
    }
}
