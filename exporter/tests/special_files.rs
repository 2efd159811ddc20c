//! Files that git cannot keep: links, FIFOs, directories, large files, and one that opens but cannot be read.

mod support;

use mini_node_exporter::http::Config;
use support::router::{Answer, get};
use support::tree::{HOSTNAME, LOADAVG, Tree, UPTIME};

const LIMIT: usize = 64 * 1024;

/// Makes a good file bad.
type Break = fn(&Tree, &str);

/// Every way of being bad, and what is said of it.
const BAD: [(Break, &str); 7] = [
    (|tree, file| tree.directory(file), "not a regular file"),
    (|tree, file| tree.fifo(file), "not a regular file"),
    (|tree, file| tree.link(file, "/dev/null"), "not a regular file"),
    (|tree, file| tree.link(file, tree.path(file)), "Too many levels of symbolic links (os error 40)"),
    (|tree, file| tree.link(file, "nowhere"), "No such file or directory (os error 2)"),
    // Mode bits do not stop root, but page 0 of this process can be read by nobody.
    (|tree, file| tree.link(file, "/proc/self/mem"), "Input/output error (os error 5)"),
    (|tree, file| tree.write(file, padded(tree, file, LIMIT + 1)), "longer than 65536 bytes"),
];

#[test]
fn a_special_uptime_is_bad() {
    for (make, reason) in BAD {
        let tree = Tree::new();
        make(&tree, UPTIME);
        assert_bad(&tree, UPTIME, "/info/uptime", reason);
        let metrics = ask(&tree, "/metrics").body;
        assert!(!metrics.contains("node_uptime") && metrics.contains("node_load{"), "{reason}: {metrics}");
        assert_success(&metrics, [("load", 1), ("uptime", 0)]);
    }
}

#[test]
fn a_special_loadavg_is_bad() {
    for (make, reason) in BAD {
        let tree = Tree::new();
        make(&tree, LOADAVG);
        assert_bad(&tree, LOADAVG, "/info/load", reason);
        let metrics = ask(&tree, "/metrics").body;
        assert!(!metrics.contains("node_load") && metrics.contains("node_uptime{"), "{reason}: {metrics}");
        assert_success(&metrics, [("load", 0), ("uptime", 1)]);
    }
}

#[test]
fn a_special_hostname_is_bad() {
    for (make, reason) in BAD {
        let tree = Tree::new();
        make(&tree, HOSTNAME);
        assert_bad(&tree, HOSTNAME, "/info/hostname", reason);
        let metrics = ask(&tree, "/metrics").body;
        assert!(!metrics.contains("node_load") && !metrics.contains("node_uptime"), "{reason}: {metrics}");
        assert_success(&metrics, [("load", 0), ("uptime", 0)]);
    }
}

#[test]
fn a_file_of_exactly_the_limit_is_read() {
    for file in [UPTIME, LOADAVG, HOSTNAME] {
        let tree = Tree::new();
        tree.write(file, padded(&tree, file, LIMIT));
        assert_good(&tree);
    }
}

/// As in a `ConfigMap` volume: the file is a link into a directory that is a link.
#[test]
fn links_are_followed() {
    for file in [UPTIME, LOADAVG, HOSTNAME] {
        let tree = Tree::new();
        std::fs::create_dir(tree.path("..v1")).unwrap();
        std::fs::rename(tree.path(file), tree.path("..v1/it")).unwrap();
        std::os::unix::fs::symlink("..v1", tree.path("..data")).unwrap();
        std::os::unix::fs::symlink(tree.path("..data/it"), tree.path(file)).unwrap();
        assert_good(&tree);
    }
}

#[test]
fn values_are_read_at_every_request() {
    let tree = Tree::new();
    assert_eq!(ask(&tree, "/info/uptime").body, "1761.77");
    tree.write(UPTIME, "1762.80 1.0\n");
    assert_eq!(ask(&tree, "/info/uptime").body, "1762.80");
}

fn assert_bad(tree: &Tree, file: &str, info: &str, reason: &str) {
    let line = format!("{}: {reason}\n", tree.path(file).display());
    let Answer { status, content_type, body } = ask(tree, info);
    assert_eq!((status, content_type.as_str(), body.as_str()), (500, "text/plain; charset=utf-8", line.as_str()));
    assert!(reason.len() < 300);
    let Answer { status, body, .. } = ask(tree, "/healthz/ready");
    assert_eq!((status, body), (503, line));
    assert_eq!(ask(tree, "/metrics").status, 200);
    assert_eq!(ask(tree, "/healthz/live").status, 200);
}

fn assert_good(tree: &Tree) {
    let Answer { status, body, .. } = ask(tree, "/healthz/ready");
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    let metrics = ask(tree, "/metrics").body;
    for line in ["node_uptime{hostname=\"worker-1\"} 1761.77", "node_load{hostname=\"worker-1\",duration=\"5m\"} 0.8"] {
        assert!(metrics.contains(line), "no {line} in:\n{metrics}");
    }
}

fn assert_success(metrics: &str, expected: [(&str, u8); 2]) {
    for (collector, success) in expected {
        let line = format!("node_scrape_collector_success{{collector=\"{collector}\"}} {success}\n");
        assert!(metrics.contains(&line), "no {line} in:\n{metrics}");
    }
}

fn ask(tree: &Tree, path: &str) -> Answer {
    get(Config { procfs: tree.root().into(), ..Config::default() }, path)
}

/// The file's own text, then line feeds.
fn padded(tree: &Tree, file: &str, length: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(tree.path(file)).unwrap();
    bytes.resize(length, b'\n');
    bytes
}
