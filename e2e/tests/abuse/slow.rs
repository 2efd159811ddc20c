//! Clients that send or read slowly, and many that scrape at once.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fs_err as fs;
use socket2::{Domain, Socket, Type};

use crate::support::{Client, Exporter, SCRAPE, allow_descriptors, patience, pause, until};

/// How long a head may take, as docs/reference.md says.
const HEAD: Duration = Duration::from_secs(10);
/// How long an answer may wait for its client to read.
const STALLED: Duration = Duration::from_secs(30);

/// One byte at a time, and never the last one.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn heads_that_never_end() {
    let exporter = Exporter::start(&[]);
    let mut clients: Vec<TcpStream> = (0..200).map(|_| exporter.connect()).collect();
    let began = Instant::now();
    let mut letters = b"GET /metrics HTTP/1.1\r\nHost: abuse\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x'));
    until("heads that never end are cut off", HEAD + patience(10), || {
        let letter = [*letters.next().unwrap()];
        clients.retain_mut(|client| client.write_all(&letter).is_ok());
        if began.elapsed() > HEAD / 2 && began.elapsed() < HEAD / 2 + Duration::from_secs(1) {
            exporter.assert_answers_at_once("200 heads that never end");
        }
        pause(Duration::from_millis(200));
        clients.is_empty()
    });
    assert!(began.elapsed() + Duration::from_secs(1) >= HEAD, "cut off after {:?}", began.elapsed());
}

/// More than there are places, all of which have an answer under way: the one that has stalled for longest goes.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn answers_that_nobody_reads() {
    allow_descriptors(2000);
    let exporter = Exporter::start(&[]);
    let before = exporter.resident();
    let clients: Vec<TcpStream> = (0..300).map(|_| client_that_does_not_read(&exporter)).collect();
    exporter.assert_answers_at_once("300 clients that do not read");
    // An answer for each in its buffers, and what it has asked for besides.
    let more = exporter.resident().saturating_sub(before);
    println!("300 clients that do not read: {more} bytes more");
    assert!(more < 16_000_000, "{more} bytes for 300 clients that do not read");
    drop(clients);
}

/// The container's limit counts what the kernel buffers for clients that do not read, in addition to the exporter itself.
#[test]
#[ignore = "needs cgroup v2 and root, and the release binary: the workflow runs it"]
fn clients_that_do_not_read_in_a_cgroup_of_the_manifests_size() {
    let manifest = include_str!("../../../kustomize/exporter/daemon-set.yaml");
    let limit = manifest.split("limits:").nth(1).and_then(|rest| rest.split("memory: ").nth(1)?.lines().next());
    let limit = limit.unwrap().strip_suffix("Mi").unwrap().parse::<u64>().unwrap() << 20;
    let group = Cgroup::new(limit);
    let exporter = Exporter::start(&[]);
    fs::write(group.0.join("cgroup.procs"), exporter.id().to_string()).unwrap();
    let clients: Vec<TcpStream> = (0..250).map(|_| client_that_does_not_read(&exporter)).collect();
    for _ in 0..4 {
        exporter.assert_answers_at_once("250 clients that do not read in a cgroup");
    }
    let used = fs::read_to_string(group.0.join("memory.peak")).unwrap_or_default();
    let events = fs::read_to_string(group.0.join("memory.events")).unwrap();
    println!("250 clients that do not read in a cgroup of {limit} bytes: {} used", used.trim());
    assert!(events.contains("oom_kill 0"), "{events}");
    drop(clients);
}

/// A control group of its own, which is removed with the test.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(memory: u64) -> Self {
        let group = PathBuf::from(format!("/sys/fs/cgroup/mini-node-exporter-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        let group = Self(group);
        fs::write(group.0.join("memory.max"), memory.to_string()).unwrap();
        fs::write(group.0.join("memory.swap.max"), "0").unwrap();
        group
    }
}

impl Drop for Cgroup {
    /// Its process has just been killed, and takes a moment to go.
    fn drop(&mut self) {
        until("the cgroup is empty", patience(10), || fs::remove_dir(&self.0).is_ok());
    }
}

/// Without a newcomer that needs the place it is given up all the same.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn an_answer_that_nobody_reads_is_given_up() {
    let exporter = Exporter::start(&[]);
    let idle = exporter.idle_descriptors();
    let client = client_that_does_not_read(&exporter);
    until("it is accepted", patience(10), || exporter.descriptors() > idle);
    let began = Instant::now();
    until("it is given up", STALLED + patience(10), || exporter.descriptors() == idle);
    assert!(began.elapsed() > STALLED / 2, "given up after {:?}", began.elapsed());
    drop(client);
}

/// More than Prometheus servers ever will.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn sixty_four_scrapers_at_once() {
    let exporter = Exporter::start(&[]);
    std::thread::scope(|threads| {
        for _ in 0..64 {
            threads.spawn(|| {
                let mut client = Client::new(exporter.connect());
                for _ in 0..50 {
                    client.scrape();
                }
            });
        }
    });
    exporter.assert_answers_at_once("after 64 scrapers");
}

/// It has asked for more than fits between the two. It is told so by its own socket, which takes no more requests.
fn client_that_does_not_read(exporter: &Exporter) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1024).unwrap();
    socket.set_send_buffer_size(1024).unwrap();
    socket.connect_timeout(&exporter.address().into(), patience(10)).unwrap();
    let mut client = TcpStream::from(socket);
    client.set_nonblocking(true).unwrap();
    let began = Instant::now();
    let mut full = None::<Instant>;
    loop {
        match client.write(SCRAPE) {
            Ok(_) => full = None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // The exporter may only be slow: it has stopped when nothing moves for a while.
                if full.get_or_insert_with(Instant::now).elapsed() > Duration::from_millis(5) {
                    break;
                }
                pause(Duration::from_millis(1));
            }
            // Somebody else needed the place.
            Err(_) => break,
        }
        assert!(began.elapsed() < patience(10), "it takes requests without end");
    }
    client
}

/// A client that reads an answer now and then is slow, not gone: its answers are whole.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn a_slow_reader_gets_its_answer() {
    let exporter = Exporter::start(&[]);
    let client = client_that_does_not_read(&exporter);
    client.set_nonblocking(false).unwrap();
    client.set_read_timeout(Some(patience(10))).unwrap();
    let mut client = Client::new(client);
    for number in 0..10 {
        pause(Duration::from_millis(200));
        let (status, body) = client.answer().unwrap_or_else(|error| panic!("answer {number}: {error}"));
        assert!(body.contains("process_cpu_seconds_total "), "{number}: {status} {body}");
    }
}
