//! Signals, and what becomes of each kind of connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use crate::support::running::{Guarded, Running, SOON, command, length};

/// With no request being answered, it may take no longer.
const AT_ONCE: Duration = Duration::from_secs(1);
/// What requests being answered get.
const GRACE: Duration = Duration::from_secs(5);
const LIVE: &str = "GET /healthz/live HTTP/1.1\r\nHost: test\r\n\r\n";

#[test]
fn either_signal_ends_it_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let running = Running::start_command(in_foreground(&[]));
        running.signal(signal);
        let (code, log, took) = running.wait(SOON);
        assert_eq!(code, Some(0), "{signal:?}: {log:#?}");
        assert!(took < AT_ONCE, "{signal:?}: {took:?}");
    }
}

/// As process 1 it would get no other signal: until it has a handler, the kernel drops what it is sent.
#[test]
fn a_signal_while_it_starts_ends_it_with_0() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    while writer.write(b"x").is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    // Its help does not fit into the pipe: it never gets beyond its command line.
    let mut child = Guarded(command().arg("--help").stdout(writer).spawn().unwrap());
    let status = format!("/proc/{}/status", child.0.id());
    let began = Instant::now();
    while !std::fs::read_to_string(&status).is_ok_and(|status| status.contains("State:\tS")) {
        assert!(began.elapsed() < SOON, "it does not wait for its standard output");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    while child.0.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < SOON * 2, "it goes on");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    reader.read_exact(&mut [0; 4096]).unwrap();
}

/// `nohup`, and a shell that starts a job in the background.
#[test]
fn signals_that_were_ignored_at_start_stay_ignored() {
    let mut background = Command::new("sh");
    background.args(["-c", "trap '' INT HUP; exec \"$0\" --web.listen-address=127.0.0.1:0"]);
    background.arg(command().get_program()).env_remove("NODE_NAME");
    let running = Running::start_command(background);
    for signal in [Signal::INT, Signal::HUP] {
        running.signal(signal);
        assert_eq!(running.get("/healthz/live").0, 200, "{signal:?}");
    }
    running.signal(Signal::TERM);
    let (code, log, _) = running.wait(SOON);
    assert_eq!(code, Some(0));
    assert!(log.iter().any(|line| line.contains("signal=SIGTERM")) && !log.iter().any(|line| line.contains("SIGINT")));
}

#[test]
fn idle_and_half_sent_connections_are_closed_at_once() {
    let running = Running::start([""; 0]);
    let fresh = running.connect();
    let mut half_sent = running.connect();
    half_sent.write_all(b"GET /metrics HTTP/1.1\r\nHost: te").unwrap();
    let mut idle = running.connect();
    idle.write_all(LIVE.as_bytes()).unwrap();
    read_until(&mut idle, "ok\n");
    let mut half_second = running.connect();
    half_second.write_all(LIVE.as_bytes()).unwrap();
    read_until(&mut half_second, "ok\n");
    half_second.write_all(b"GET /met").unwrap();
    // What was sent before is read by now: one thread answers in turn.
    assert_eq!(running.get("/healthz/live").0, 200);
    running.signal(Signal::TERM);
    let (code, log, took) = running.wait(SOON);
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(took < AT_ONCE, "{took:?}");
    for mut stream in [fresh, half_sent, idle, half_second] {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "an answer to no request");
    }
}

#[test]
fn an_answer_under_way_is_finished() {
    let running = start_with_long_answers();
    let mut slow = client_that_does_not_read(&running);
    running.signal(Signal::TERM);
    // Now it reads. What was begun must be whole: every head is followed by the body that it announces.
    let mut answers = Vec::new();
    let _ = slow.read_to_end(&mut answers);
    let (code, log, took) = running.wait(SOON);
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(took < GRACE, "{took:?}");
    assert!(!log.iter().any(|line| line.contains("dropped requests")), "{log:#?}");
    let mut rest = String::from_utf8(answers).unwrap();
    let mut whole = 0;
    while let Some((head, body)) = rest.split_once("\r\n\r\n") {
        let length = length(head);
        assert!(body.len() >= length, "{} of {length} bytes of answer {whole}", body.len());
        rest = body[length..].to_string();
        whole += 1;
    }
    assert!(whole > 0 && rest.is_empty(), "{whole} whole answers, then {rest:?}");
}

#[test]
fn an_answer_that_nobody_takes_is_given_up_after_the_grace() {
    let running = start_with_long_answers();
    let _slow = client_that_does_not_read(&running);
    running.signal(Signal::TERM);
    let (code, log, took) = running.wait(SOON);
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(took + AT_ONCE >= GRACE && took < GRACE + AT_ONCE, "{took:?}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut running = Running::start_command(in_foreground(&["--node-name", &LONG.repeat(25_000)]));
    let _slow = client_that_does_not_read(&running);
    running.signal(Signal::TERM);
    running.wait_for_line("shutting down");
    running.signal(Signal::INT);
    let (code, log, took) = running.wait(SOON);
    assert_eq!(code, Some(0), "{log:#?}");
    assert!(took < AT_ONCE, "{took:?}");
}

pub const LONG: &str = "long";

/// Its name is so long that a scrape is over 400 kB.
fn start_with_long_answers() -> Running {
    Running::start(["--node-name", &LONG.repeat(25_000)])
}

/// With a SIGINT that is not ignored, even where the tests themselves run in a shell's background.
fn in_foreground(arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(crate::support::running::command().get_program());
    command.args(["--web.listen-address=127.0.0.1:0"]).args(arguments).env_remove("NODE_NAME");
    command
}

/// A client that has asked for more than fits between the two, and reads nothing: an answer is under way to it.
pub fn client_that_does_not_read(running: &Running) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1024).unwrap();
    socket.connect(&running.address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(30).as_bytes()).unwrap();
    // One thread answers all in turn: after these it is stuck with the other's.
    for _ in 0..10 {
        assert_eq!(running.get("/healthz/live").0, 200);
    }
    stream
}

fn read_until(stream: &mut TcpStream, end: &str) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
}
