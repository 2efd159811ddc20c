//! Tells the crate what it was built from: the git revision and the compiler, for `mini_node_exporter_build_info`.
//!
//! No `git` binary is needed, and a source tree without `.git` builds too: the revision is then `unknown`, unless the
//! environment variable `MNE_REVISION` names it (as an image build does).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const UNKNOWN: &str = "unknown";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MNE_REVISION");
    let revision = env::var("MNE_REVISION").ok().filter(|given| is_word(given)).or_else(revision);
    println!("cargo::rustc-env=MNE_REVISION={}", revision.as_deref().unwrap_or(UNKNOWN));
    println!("cargo::rustc-env=MNE_RUSTC={}", rustc_version().as_deref().unwrap_or(UNKNOWN));
}

/// The commit that is checked out, found in git's own files.
fn revision() -> Option<String> {
    let workspace = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).parent()?.to_path_buf();
    let git = git_dir(&workspace.join(".git"))?;
    // HEAD's log grows with every commit and check-out. Only files that exist are watched: cargo would take a missing
    // one for a changed one, and build again every time.
    for file in ["HEAD", "logs/HEAD"] {
        watch(&git.join(file));
    }
    let head = read_trimmed(&git.join("HEAD"))?;
    let Some(reference) = head.strip_prefix("ref: ") else { return short(&head) };
    let common = read_trimmed(&git.join("commondir")).map_or_else(|| git.clone(), |dir| git.join(dir));
    let loose = common.join(reference);
    watch(&loose);
    if let Some(commit) = read_trimmed(&loose) {
        return short(&commit);
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' ').and_then(short))
}

/// `.git` is a directory, or in a linked work tree a file that names one.
fn git_dir(dot_git: &Path) -> Option<PathBuf> {
    if dot_git.is_dir() {
        return Some(dot_git.to_path_buf());
    }
    let named = read_trimmed(dot_git)?;
    Some(dot_git.parent()?.join(named.strip_prefix("gitdir: ")?))
}

/// `rustc 1.95.0 (…)` is cut down to `1.95.0`.
fn rustc_version() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    line.split_whitespace().nth(1).filter(|version| is_word(version)).map(String::from)
}

fn short(commit: &str) -> Option<String> {
    commit.get(..12).filter(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit())).map(String::from)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn read_trimmed(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

fn watch(path: &Path) {
    if path.is_file() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
