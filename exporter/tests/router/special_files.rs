//! Files that git cannot keep: links, FIFOs, directories, large files, and one that opens but cannot be read.

use crate::support::router::{Answer, ask as ask_router, get};
use crate::support::tree::{HOSTNAME, LOADAVG, Tree, UPTIME};
use mini_node_exporter::http::{self, ExporterOptions, ExporterState};

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
    // Mode bits do not stop root, but page 0 of this process cannot be read.
    (|tree, file| tree.link(file, "/proc/self/mem"), "Input/output error (os error 5)"),
    (|tree, file| tree.write(file, padded(tree, file, LIMIT + 1)), "longer than 65536 bytes"),
];

#[test]
fn a_special_file_is_bad() {
    for (file, info, [load, uptime]) in [
        (UPTIME, "/info/uptime", [true, false]),
        (LOADAVG, "/info/load", [false, true]),
        (HOSTNAME, "/info/hostname", [false, false]),
    ] {
        for (make, reason) in BAD {
            let tree = Tree::new();
            make(&tree, file);
            assert_bad(&tree, file, info, reason);
            let metrics = ask(&tree, "/metrics").body;
            for (collector, success) in [("load", load), ("uptime", uptime)] {
                assert_eq!(metrics.contains(&format!("node_{collector}{{")), success, "{file}: {reason}: {metrics}");
                let line = format!("success{{collector=\"{collector}\"}} {}\n", u8::from(success));
                assert!(metrics.contains(&line), "{file}: {reason}: no {line} in:\n{metrics}");
            }
        }
    }
}

#[test]
fn a_file_of_exactly_the_limit_is_read() {
    for file in [UPTIME, LOADAVG, HOSTNAME] {
        let tree = Tree::new();
        tree.write(file, padded(&tree, file, LIMIT));
        assert_good(&tree, file);
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
        assert_good(&tree, file);
    }
}

/// One router, asked twice: nothing that it shows is of the first time.
#[test]
fn values_are_read_at_every_request() {
    let tree = Tree::new();
    let router =
        http::router(ExporterState::new(ExporterOptions { procfs: tree.root().into(), ..ExporterOptions::default() }));
    let seen =
        || ["/metrics", "/info/uptime", "/info/load", "/info/hostname"].map(|path| ask_router(&router, path).body);
    let first = seen();
    for (file, text) in [(UPTIME, "1762.80 1.0\n"), (LOADAVG, "9.01 8.02 7.03 2/816 1\n"), (HOSTNAME, "worker-2\n")] {
        tree.write(file, text);
    }
    let [metrics, uptime, load, hostname] = seen();
    assert_eq!([&uptime, &load, &hostname], ["1762.80", r#"{"1m":9.01,"5m":8.02,"15m":7.03}"#, "worker-2"]);
    for sample in ["node_uptime{hostname=\"worker-2\"} 1762.8\n", "hostname=\"worker-2\",duration=\"15m\"} 7.03\n"] {
        assert!(metrics.contains(sample), "no {sample} in:\n{metrics}\nwhich was:\n{}", first[0]);
    }
    for old in ["1761.77", "0.57", "worker-1"] {
        assert!(first.concat().contains(old) && !metrics.contains(old), "{old} is still in:\n{metrics}");
    }
    tree.write(LOADAVG, "soon\n");
    let broken = seen();
    assert!(!broken[0].contains("node_load{") && broken[2].contains("/loadavg: "), "{broken:?}");
}

#[track_caller]
fn assert_bad(tree: &Tree, file: &str, info: &str, reason: &str) {
    let line = format!("{}: {reason}\n", tree.path(file).display());
    let Answer { status, content_type, body } = ask(tree, info);
    assert_eq!((status, content_type.as_str(), body.as_str()), (500, "text/plain; charset=utf-8", line.as_str()));
    assert!(reason.len() < 300);
    let Answer { status, body, .. } = ask(tree, "/healthz/ready");
    assert_eq!((status, body), (503, line));
    assert_eq!(ask(tree, "/metrics").status, 200, "{file}: {reason}");
    assert_eq!(ask(tree, "/healthz/live").status, 200, "{file}: {reason}");
}

#[track_caller]
fn assert_good(tree: &Tree, file: &str) {
    let Answer { status, body, .. } = ask(tree, "/healthz/ready");
    assert_eq!((status, body.as_str()), (200, "ok\n"), "{file}");
    let metrics = ask(tree, "/metrics").body;
    for line in ["node_uptime{hostname=\"worker-1\"} 1761.77", "node_load{hostname=\"worker-1\",duration=\"5m\"} 0.8"] {
        assert!(metrics.contains(line), "{file}: no {line} in:\n{metrics}");
    }
}

fn ask(tree: &Tree, path: &str) -> Answer {
    get(ExporterOptions { procfs: tree.root().into(), ..ExporterOptions::default() }, path)
}

/// The file's own text, then line feeds.
fn padded(tree: &Tree, file: &str, length: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(tree.path(file)).unwrap();
    bytes.resize(length, b'\n');
    bytes
}
