//! What the exporter's own tests start exporters with.
#![allow(dead_code)]

#[path = "../tests/support/running.rs"]
pub mod running;
#[path = "../tests/support/tree.rs"]
pub mod tree;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Builds the exporter, once, into the target directory of this test.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
        let status = cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().unwrap();
        assert!(status.success(), "cannot build the exporter: {status}");
        target.join("debug/mini-node-exporter")
    };
    BINARY.get_or_init(build).clone()
}
