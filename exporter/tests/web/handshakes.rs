//! Clients that are slow with a handshake, or speak something else.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::https::Client;
use crate::support::pki::Pki;
use crate::support::running::SOON;
use crate::{TLS, start};

/// How long a request's head may take, as `server` says: a handshake is part of it.
const HEAD: Duration = Duration::from_secs(10);

#[test]
fn a_handshake_may_take_as_long_as_a_head_and_no_longer() {
    let pki = Pki::new();
    let running = start(&pki, TLS);
    let (mut silent, mut half, began) = (running.connect(), running.connect(), Instant::now());
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
    let mut done = Client::new(&pki).connect(running.address()).unwrap();
    for (what, ended) in [
        ("silent", silent.read(&mut [0; 64])),
        ("half a hello", half.read(&mut [0; 64])),
        ("no request", done.read(&mut [0; 64])),
    ] {
        // The end may be a close or a reset, but no time-out of our own.
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        assert!(!ended.as_ref().is_err_and(timed_out), "{what}: {ended:?}");
        assert!(began.elapsed() + Duration::from_secs(1) >= HEAD, "{what}: {:?}", began.elapsed());
        assert!(began.elapsed() < HEAD + SOON, "{what}: {:?}", began.elapsed());
    }
    assert_eq!(Client::new(&pki).get(running.address(), "/healthz/live").unwrap().status, 200);
}

#[test]
fn a_handshake_under_way_does_not_hold_up_the_end() {
    let pki = Pki::new();
    let running = start(&pki, TLS);
    let mut half = running.connect();
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
    let idle = Client::new(&pki).connect(running.address()).unwrap();
    running.signal(Signal::TERM);
    let (code, log, took) = running.wait(SOON);
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    drop(idle);
}

#[test]
fn what_is_no_handshake_ends_the_connection_and_nothing_else() {
    let pki = Pki::new();
    let running = start(&pki, TLS);
    for bytes in [
        &b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n"[..],
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\0\0\0\0\0\0\0\0",
        &[0xff; 16_000],
    ] {
        let mut stream = running.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("node_"), "{text}");
        let answer = Client::new(&pki).get(running.address(), "/healthz/live").unwrap();
        assert_eq!(answer.status, 200, "after {:?}", &bytes[..bytes.len().min(20)]);
    }
}

/// As Prometheus does from one scrape to the next.
#[test]
fn a_connection_is_kept_from_one_request_to_the_next() {
    let pki = Pki::new();
    let running = start(&pki, TLS);
    let mut stream = Client::new(&pki).connect(running.address()).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /healthz/live HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\nok\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }
    assert_eq!(stream.conn.alpn_protocol(), None);
}
