//! What the test binaries share.
#![allow(dead_code)]

pub mod https;
pub mod pki;
pub mod router;
pub mod running;
pub mod tree;

use std::path::Path;

/// The binary under test.
pub fn binary() -> &'static str {
    expect_unmoved();
    env!("CARGO_BIN_EXE_mini-node-exporter")
}

/// Fails in a checkout that was moved or copied with its `target/`, which cargo takes for fresh: the tests in it would
/// go on to prove the files and the binary of the place where they were built.
fn expect_unmoved() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let built = env!("CARGO_MANIFEST_DIR");
    assert!(
        here.is_empty() || here == built,
        "built in {built}, run in {here}: `cargo clean -p mini-node-exporter` first"
    );
}

/// The one place where what differs from run to run is named: paths below `root`, durations, the build, the process.
pub fn filters(root: &Path) -> insta::Settings {
    expect_unmoved();
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(true);
    for path in [root.to_path_buf(), root.canonicalize().unwrap()] {
        settings.add_filter(&literally(path.to_str().unwrap()), "[case]");
    }
    settings.add_filter(r"(node_scrape_collector_duration_seconds\{[^}]*\}) \S+", "$1 [seconds]");
    settings.add_filter(
        r#"(mini_node_exporter_build_info\{version=")[^"]*(",revision=")[^"]*(",rustc=")[^"]*""#,
        "$1[version]$2[revision]$3[rustc]\"",
    );
    settings.add_filter(r"(?m)^(process_\w+) \S+$", "$1 [process]");
    settings.add_filter(r"mini-node-exporter \S+ \(revision \S+, rustc \S+\)", "mini-node-exporter [version]");
    settings
}

/// A pattern that matches just this text.
fn literally(text: &str) -> String {
    text.chars().flat_map(|letter| if letter.is_alphanumeric() { vec![letter] } else { vec!['\\', letter] }).collect()
}
