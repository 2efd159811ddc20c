//! A procfs tree that hangs: the real binary on a real FUSE that gives no answer.
//!
//! It takes `/dev/fuse`, and root or `fusermount3`: `just hanging` runs it.

mod support;
mod tree;

use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use support::running::{Running, SOON, command};
use support::tree::{LOADAVG, UPTIME};
use tree::{CPUS, HangingTree, ROOT, WEB_CONFIG};

/// What Prometheus would announce. A machine that is busy with other tests may take some of it.
const TIMEOUT: Duration = Duration::from_secs(8);

#[test]
#[ignore = "needs /dev/fuse: run `just hanging`"]
fn a_file_that_hangs_fails_the_collectors_and_nothing_else() {
    let tree = HangingTree::mount();
    let running = start(&tree);
    assert_heals(&running);

    tree.hang(LOADAVG);
    for _ in 0..3 {
        assert_collectors_fail(&running, &["load", "uptime"]);
    }
    let line = format!("{}: a previous read is still blocked\n", tree.path(LOADAVG).display());
    assert_eq!(running.get("/healthz/ready"), (503, line.clone()));
    assert_eq!(running.get("/info/uptime"), (500, line));
    assert_eq!(tree.waiting(), 1, "a file that hangs is read only once");

    tree.let_go();
    assert_heals(&running);
    let log = ended(running);
    let lines = |text: &str| log.iter().filter(|line| line.contains(text) && line.contains("loadavg")).count();
    assert_eq!((lines("cannot read procfs file"), lines("readable again")), (1, 1), "{log:#?}");
}

#[test]
#[ignore = "needs /dev/fuse: run `just hanging`"]
fn a_tree_that_hangs_at_the_start_does_not_hold_it_up() {
    let tree = HangingTree::mount();
    tree.hang(ROOT);
    tree.hang(UPTIME);
    let running = start(&tree);
    assert_eq!(running.get("/healthz/live").0, 200);
    assert_eq!(running.get("/healthz/ready").0, 503);
    assert!(tree.waiting() > 0);
    tree.let_go();
    assert_heals(&running);
    ended(running);
}

/// As on a network file system whose server is gone.
#[test]
#[ignore = "needs /dev/fuse: run `just hanging`"]
fn a_web_configuration_that_hangs_stops_nothing() {
    let tree = HangingTree::mount();
    let running = Running::start(["--web.config.file".into(), tree.path(WEB_CONFIG)]);
    let running = Exporter { tree: &tree, running: Some(running) };
    assert_eq!(running.get("/metrics").0, 200);
    tree.hang(ROOT);
    tree.hang(WEB_CONFIG);
    let began = Instant::now();
    while tree.waiting() == 0 {
        assert!(began.elapsed() < SOON, "nobody looks at it");
        let mut asks = running.connect();
        asks.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let began = Instant::now();
    for path in ["/metrics", "/healthz/live", "/info/load"] {
        assert_eq!(running.get(path).0, 200, "{path}");
    }
    assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
    tree.let_go();
    ended(running);
}

/// As lxcfs covers it, with the kernel's own `/proc`.
#[test]
#[ignore = "needs /dev/fuse and root: run `just hanging`"]
fn a_single_file_of_sysfs_may_hang() {
    let tree = HangingTree::mount();
    let running = start_covered(&tree, CPUS, "/sys/devices/system/cpu/online", &["--collector.cpus"]);
    assert!(running.get("/metrics").1.contains("node_cpus{"));
    tree.hang(CPUS);
    assert_collectors_fail(&running, &["cpus"]);
    tree.let_go();
    assert_heals(&running);
    ended(running);
}

/// The metrics about the exporter itself are collected on the thread that serves.
#[test]
#[ignore = "needs /dev/fuse and root: run `just hanging`"]
fn a_single_file_of_proc_may_hang_before_the_first_scrape() {
    let tree = HangingTree::mount();
    tree.hang(UPTIME);
    let running = start_covered(&tree, UPTIME, "/proc/uptime", &[]);
    assert_collectors_fail(&running, &["uptime"]);
    tree.let_go();
    assert_heals(&running);
    let metrics = running.get("/metrics").1;
    let began = metrics.lines().find_map(|line| line.strip_prefix("process_start_time_seconds "));
    let began: f64 = began.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - began).abs() < 120.0, "it began {} s ago", now - began);
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

/// Starts it with the kernel's own trees, where a file of this one covers `path`.
fn start_covered<'a>(tree: &'a HangingTree, file: &str, path: &str, flags: &[&str]) -> Exporter<'a> {
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$0\" --web.listen-address=127.0.0.1:0 \"$@\"";
    let mut unshare = std::process::Command::new("unshare");
    unshare
        .args(["--mount", "sh", "-c", script])
        .arg(command().get_program())
        .arg(tree.path(file))
        .arg(path)
        .args(flags);
    Exporter { tree, running: Some(Running::start_command(unshare)) }
}

/// Scrapes as Prometheus does, with its timeout.
#[track_caller]
fn assert_collectors_fail(running: &Running, collectors: &[&str]) {
    let began = Instant::now();
    let timeout = format!("X-Prometheus-Scrape-Timeout-Seconds: {}\r\n", TIMEOUT.as_secs());
    let (status, answer) = running.ask("/metrics", &timeout);
    assert!(status == 200 && began.elapsed() < TIMEOUT, "{:?}: {answer}", began.elapsed());
    for name in collectors {
        assert!(answer.contains(&format!("node_scrape_collector_success{{collector=\"{name}\"}} 0\n")), "{answer}");
    }
    assert!(answer.contains("process_threads 2\n"), "{answer}");
    assert_eq!(running.get("/healthz/live"), (200, "ok\n".to_string()));
}

#[track_caller]
fn assert_heals(running: &Running) {
    let deadline = Instant::now() + SOON;
    while running.get("/healthz/ready").0 != 200 {
        assert!(Instant::now() < deadline, "{}", running.get("/healthz/ready").1);
        std::thread::yield_now();
    }
    let metrics = running.get("/metrics").1;
    assert!(metrics.contains("node_load{") && metrics.contains("node_uptime{"), "{metrics}");
}

#[track_caller]
fn ended(mut exporter: Exporter<'_>) -> Vec<String> {
    let running = exporter.running.take().unwrap();
    running.signal(Signal::TERM);
    let (code, log, _) = running.wait(SOON);
    assert_eq!(code, Some(0), "{log:#?}");
    log
}
