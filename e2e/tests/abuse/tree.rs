//! A procfs root that is replaced, emptied and restored under load.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use fs_err as fs;
use tempfile::TempDir;

use crate::support::{Client, Exporter, patience, until};

const FILES: [(&str, &str); 3] = [
    ("uptime", "1761.77 6531.02\n"),
    ("loadavg", "0.57 0.80 0.77 2/816 12345\n"),
    ("sys/kernel/hostname", "worker-1\n"),
];

/// What is shown is either true or missing, and then `success` says so.
#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn a_root_that_comes_and_goes_is_never_misread() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("proc");
    plant(&root);
    let mut exporter = Exporter::start(&["--path.procfs", root.to_str().unwrap()]);
    let (over, good, bad) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let mut client = Client::new(exporter.connect());
                while !over.load(Relaxed) {
                    let body = client.scrape();
                    let success = body.contains("node_scrape_collector_success{collector=\"uptime\"} 1\n");
                    let sample = body.lines().find(|line| line.starts_with("node_uptime{"));
                    let expected = success.then_some("node_uptime{hostname=\"worker-1\"} 1761.77");
                    assert_eq!(sample, expected, "{body}");
                    if success { &good } else { &bad }.fetch_add(1, Relaxed);
                }
            });
        }
        // Panics in here must not leave the scrapers waiting.
        let _over = Over(&over);
        for turn in 0..30 {
            let seen = |counter: &AtomicU32| {
                let before = counter.load(Relaxed);
                until("scrapers see the change", patience(20), || counter.load(Relaxed) > before + 8);
            };
            match turn % 3 {
                0 => fs::remove_dir_all(&root).unwrap(),
                1 => {
                    fs::rename(&root, dir.path().join(format!("old-{turn}"))).unwrap();
                    fs::create_dir(&root).unwrap();
                }
                _ => {
                    for (file, _) in FILES {
                        fs::write(root.join(file), "").unwrap();
                    }
                }
            }
            seen(&bad);
            let _ = fs::remove_dir_all(&root);
            plant(&root);
            seen(&good);
        }
    });
    exporter.assert_lives();
    exporter.assert_answers_at_once("after a root that came and went");
}

/// Tells the scrapers to end, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A new tree takes the place at once, as a mount does.
fn plant(root: &Path) {
    let new = root.with_extension("new");
    for (file, text) in FILES {
        let file = new.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    fs::rename(new, root).unwrap();
}
