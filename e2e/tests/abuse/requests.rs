//! What is no request, or an unusual one.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::support::{Client, Exporter, SCRAPE};

/// A status of none means that nothing at all may be answered, or that it does not matter.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn unusual_requests_get_what_the_standard_says() {
    let mut exporter = Exporter::start(&[]);
    let line = |line: &str| format!("{line}\r\nHost: abuse\r\nConnection: close\r\n\r\n").into_bytes();
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(2000)).into_bytes();
    let long = |length: usize| line(&format!("GET / HTTP/1.1\r\nX-Long: {}", "x".repeat(length)));
    for (request, status) in [
        (line("GET /metrics HTTP/1.1"), 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n".to_vec(), 200),
        (b"GET /healthz/live HTTP/1.1\nHost: abuse\nConnection: close\n\n".to_vec(), 200),
        (line("GET http://elsewhere/metrics HTTP/1.1"), 200),
        (line("GET /../metrics HTTP/1.1"), 404),
        (line("GET /%2e%2e/metrics HTTP/1.1"), 404),
        (line("GET /../../../../etc/passwd HTTP/1.1"), 404),
        (line("GET /metrics/ HTTP/1.1"), 404),
        (line("GET //metrics HTTP/1.1"), 404),
        (line("HEAD /metrics HTTP/1.1"), 200),
        (line("POST /metrics HTTP/1.1\r\nContent-Length: 99999999999"), 405),
        (line("PUT /metrics HTTP/1.1\r\nTransfer-Encoding: chunked"), 405),
        (line("BREW /metrics HTTP/1.1"), 405),
        (line("GET metrics HTTP/1.1"), 404),
        (line("GET /metrics HTTP/3.0"), 400),
        (line("GET /metr ics HTTP/1.1"), 400),
        (line("GET /metrics HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2"), 400),
        (line("GET /metrics HTTP/1.1\r\nContent-Length: -1"), 400),
        (line("GET /metrics HTTP/1.1\r\nX\0: y"), 400),
        (line("GET /metrics HTTP/1.1\r\n: y"), 400),
        (line("GET /metrics?collect[]=%ff%00&%&&=&&&& HTTP/1.1"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
        (long(8_000), 200),
        (long(20_000), 431),
        (long(10_000_000), 431),
        (many, 431),
    ] {
        let shown = String::from_utf8_lossy(&request[..request.len().min(70)]).into_owned();
        let answer = send(&exporter, &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) || answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{shown:?} got {answer:?}"
        );
        exporter.assert_lives();
    }
    exporter.assert_answers_at_once("after unusual requests");
}

/// The same random bytes in every run.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn garbage_is_refused() {
    let mut exporter = Exporter::start(&[]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for turn in 0..3000 {
        let length = usize::try_from(next() % 600).unwrap();
        let mut bytes: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[0]).collect();
        // Some begin as a request does, and break in the middle.
        if turn % 3 != 0 {
            let cut = usize::try_from(next()).unwrap_or(usize::MAX) % SCRAPE.len();
            bytes.splice(0..0, SCRAPE[..cut].iter().copied());
        }
        bytes.extend(b"\r\n\r\n");
        let answer = send(&exporter, &bytes);
        let status = answer.get(9..12).unwrap_or("400");
        assert!(matches!(status, "200" | "400" | "404" | "405" | "431"), "{bytes:?} got {answer}");
    }
    exporter.assert_lives();
    exporter.assert_answers_at_once("after garbage");
    let log = exporter.log();
    assert!(!log.contains("level=error") && log.lines().count() < 10, "garbage fills the log: {log}");
}

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn pipelined_requests_are_answered_in_turn() {
    let exporter = Exporter::start(&[]);
    let stream = exporter.connect();
    let paths = ["/healthz/live", "/nothing", "/info/uptime", "/metrics"];
    let expected = [200, 404, 200, 200];
    let one = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: abuse\r\n\r\n")).concat();
    let requests = one.repeat(100);
    std::thread::scope(|threads| {
        let mut writer = stream.try_clone().unwrap();
        let mut client = Client::new(stream);
        threads.spawn(move || writer.write_all(requests.as_bytes()).unwrap());
        for turn in 0..100 {
            for (path, status) in paths.iter().zip(expected) {
                assert_eq!(client.answer().unwrap().0, status, "{path} in turn {turn}");
            }
        }
    });
}

/// What is answered to bytes after which nothing comes.
fn send(exporter: &Exporter, request: &[u8]) -> String {
    let mut stream = exporter.connect();
    // It may answer and close before it has read everything.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "nothing comes, and the connection stays");
    }
    String::from_utf8_lossy(&answer).into_owned()
}
