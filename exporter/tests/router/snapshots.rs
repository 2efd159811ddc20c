//! What the exporter answers over every tree in `fixtures/`, one snapshot a case.
//!
//! A new case is a folder and one `INSTA_UPDATE=always cargo test -p mini-node-exporter --test router`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::support::router::{Answer, get};
use insta::assert_snapshot;
use mini_node_exporter::{collector, http};

const ENDPOINTS: [&str; 5] = ["/metrics", "/info/hostname", "/info/uptime", "/info/load", "/healthz/ready"];

#[test]
fn every_fixture_answers_as_it_did() {
    let cases = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
    for case in cases.filter(|case| case.join("proc").is_dir()) {
        let mut settings = crate::support::filters(&case);
        settings.set_snapshot_suffix(format!("{}__proc", case.file_name().unwrap().display()));
        settings.bind(|| assert_snapshot!("case", page(&case.join("proc"))));
    }
}

#[test]
fn every_snapshot_has_its_fixture() {
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/router/snapshots");
    let mut cases = 0;
    for entry in std::fs::read_dir(&snapshots).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(case) =
            file.strip_prefix("router__snapshots__case@").and_then(|rest| rest.strip_suffix("__proc.snap"))
        else {
            continue;
        };
        assert!(fixtures().join(case).join("proc").is_dir(), "{file} has no fixtures/{case}/proc: remove the snapshot");
        cases += 1;
    }
    assert!(cases > 0, "no snapshot of a case in {}", snapshots.display());
}

/// Git keeps no FIFO, and a check-out may lose links and empty directories: such cases belong to `special_files`.
#[test]
fn fixtures_are_plain_files_that_git_keeps() {
    let mut folders = vec![fixtures()];
    while let Some(folder) = folders.pop() {
        let entries: Vec<_> = std::fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        assert!(!entries.is_empty(), "{} is empty", folder.display());
        for entry in entries {
            let kind = entry.file_type().unwrap();
            assert!(kind.is_dir() || kind.is_file(), "{} is no plain file", entry.path().display());
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                assert!(entry.metadata().unwrap().len() < 4096, "{} is large", entry.path().display());
            }
        }
    }
}

/// Every endpoint's answer over one tree, with the collectors that run by default.
fn page(root: &Path) -> String {
    let config = || http::ExporterOptions {
        procfs: root.into(),
        collectors: collector::defaults(),
        ..http::ExporterOptions::default()
    };
    let mut page = String::new();
    for endpoint in ENDPOINTS {
        let Answer { status, content_type, body } = get(config(), endpoint);
        writeln!(page, "GET {endpoint}\n{status} {content_type}\n\n{}\n", body.trim_end_matches('\n')).unwrap();
    }
    page
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}
