//! A procfs tree that hangs: the real binary on a real FUSE that gives no answer.
//!
//! It takes `/dev/fuse`, and root or `fusermount3`: `just hanging` runs it.

#[path = "../support/mod.rs"]
mod support;
mod tree;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::running::{Running, SOON};
use support::tree::{HOSTNAME, LOADAVG, UPTIME};
use tree::{HangingTree, ROOT};

/// What Prometheus would say it waits. A machine that is busy with other tests may take some of it.
const TIMEOUT: Duration = Duration::from_secs(8);

const LOAD: &str = "node_load{hostname=\"worker-1\",duration=\"1m\"} 0.57\n";
const UPTIME_SAMPLE: &str = "node_uptime{hostname=\"worker-1\"} 1761.77\n";

#[test]
#[ignore = "needs /dev/fuse: run `just hanging`"]
fn a_file_that_hangs_costs_its_collector_and_nothing_else() {
    let tree = HangingTree::mount();
    let running = start(&tree);
    assert_all_is_well(&running);

    tree.hang(LOADAVG);
    for _ in 0..3 {
        let (metrics, took) = scrape(&running);
        assert!(took < TIMEOUT, "{took:?}");
        assert!(!metrics.contains("node_load"), "{metrics}");
        assert!(metrics.contains("node_scrape_collector_success{collector=\"load\"} 0\n"), "{metrics}");
        assert!(metrics.contains("node_scrape_collector_success{collector=\"uptime\"} 1\n"), "{metrics}");
        assert!(metrics.contains(UPTIME_SAMPLE), "{metrics}");
        assert_eq!(running.get("/healthz/live"), (200, "ok\n".to_string()));
    }
    let line = format!("{}: an earlier read of it has not returned\n", tree.path(LOADAVG).display());
    assert_eq!(running.get("/healthz/ready"), (503, line.clone()));
    assert_eq!(running.get("/info/load"), (500, line));
    assert_eq!(running.get("/info/uptime"), (200, "1761.77".to_string()));
    assert_eq!(tree.waiting(), 1, "a file that hangs is not asked again");
    assert!(threads(&running) <= 3, "{} threads", threads(&running));

    tree.let_go();
    heals(&running);
    let log = ended(running);
    let lines = |text: &str| log.iter().filter(|line| line.contains(text) && line.contains("loadavg")).count();
    assert_eq!((lines("file is bad"), lines("good again")), (1, 1), "{log:#?}");
}

#[test]
#[ignore = "needs /dev/fuse: run `just hanging`"]
fn every_file_may_hang() {
    let tree = HangingTree::mount();
    let running = start(&tree);
    for file in [LOADAVG, UPTIME, HOSTNAME] {
        tree.hang(file);
    }
    for _ in 0..3 {
        let (metrics, took) = scrape(&running);
        assert!(took < TIMEOUT, "{took:?}");
        for collector in ["load", "uptime"] {
            let failed = format!("node_scrape_collector_success{{collector=\"{collector}\"}} 0\n");
            assert!(metrics.contains(&failed), "{metrics}");
        }
        assert_eq!(running.get("/healthz/live").0, 200);
    }
    let (status, body) = running.get("/healthz/ready");
    assert_eq!((status, body.lines().count()), (503, 3), "{body}");
    assert_eq!(tree.waiting(), 3);
    assert!(threads(&running) <= 5, "{} threads", threads(&running));
    tree.let_go();
    heals(&running);
    ended(running);
}

#[test]
#[ignore = "needs /dev/fuse: run `just hanging`"]
fn a_tree_that_hangs_at_the_start_is_waited_for_by_nobody() {
    let tree = HangingTree::mount();
    tree.hang(ROOT);
    tree.hang(UPTIME);
    let running = start(&tree);
    assert_eq!(running.get("/healthz/live").0, 200);
    assert_eq!(running.get("/healthz/ready").0, 503);
    assert!(tree.waiting() > 0);
    tree.let_go();
    heals(&running);
    ended(running);
}

/// An exporter on such a tree.
struct Exporter<'a> {
    tree: &'a HangingTree,
    running: Option<Running>,
}

impl std::ops::Deref for Exporter<'_> {
    type Target = Running;

    fn deref(&self) -> &Running {
        self.running.as_ref().unwrap()
    }
}

impl Drop for Exporter<'_> {
    /// A process whose read hangs cannot even be killed: a test that fails would wait for its end for ever.
    fn drop(&mut self) {
        self.tree.let_go();
    }
}

fn start(tree: &HangingTree) -> Exporter<'_> {
    let running = Running::start(["--path.procfs".as_ref(), tree.root().as_os_str()]);
    Exporter { tree, running: Some(running) }
}

#[track_caller]
fn assert_all_is_well(running: &Running) {
    let (metrics, _) = scrape(running);
    assert!(metrics.contains(LOAD) && metrics.contains(UPTIME_SAMPLE), "{metrics}");
    assert_eq!(running.get("/healthz/ready"), (200, "ok\n".to_string()));
}

fn heals(running: &Running) {
    let deadline = Instant::now() + SOON;
    while running.get("/healthz/ready").0 != 200 {
        assert!(Instant::now() < deadline, "{}", running.get("/healthz/ready").1);
        std::thread::yield_now();
    }
    assert_all_is_well(running);
}

#[track_caller]
fn ended(mut exporter: Exporter<'_>) -> Vec<String> {
    let running = exporter.running.take().unwrap();
    running.signal(Signal::TERM);
    let (code, log, _) = running.wait(SOON);
    assert_eq!(code, Some(0), "{log:#?}");
    log
}

/// As Prometheus asks: with the time that it is going to wait.
fn scrape(running: &Running) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = running.connect();
    let seconds = TIMEOUT.as_secs();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: test\r\nX-Prometheus-Scrape-Timeout-Seconds: {seconds}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    (answer, began.elapsed())
}

fn threads(running: &Running) -> u64 {
    let (metrics, _) = scrape(running);
    let threads = metrics.lines().find_map(|line| line.strip_prefix("process_threads ")?.parse().ok());
    threads.unwrap_or_else(|| panic!("no process_threads in:\n{metrics}"))
}
