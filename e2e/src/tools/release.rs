//! Official releases, each file checked against the release's own SHA-256 file before it is unpacked.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use fs_err::{self as fs, File};
use ring::digest;

use super::cache;
use super::digest::hexadecimal;
use super::known::Tool;
use crate::client::http;
use crate::process::{self, command::Cmd};
use crate::terminal::progress::Step;
use crate::wait::poll::{self, Attempt};

/// The longest that a download takes.
const LIMIT: Duration = Duration::from_secs(600);

/// Downloads, checks and unpacks a tool's release, and returns the program's path.
pub(super) fn fetch(tool: Tool, step: &Step) -> Result<PathBuf> {
    let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let release = tool.release((os, process::arch()?));
    let file = release.url.rsplit('/').next().unwrap_or_default();
    let scratch = cache::scratch(tool)?;
    let (sums, archive) = (scratch.path().join("sums"), scratch.path().join("archive"));
    download(&release.sums, &sums, step)?;
    let expected = expected(&fs::read_to_string(&sums)?, file)?;
    let actual = download(&release.url, &archive, step)?;
    ensure!(actual == expected, "{file} has SHA-256 {actual}, but its release lists {expected}; it was not unpacked");
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree)?;
    let program = if let Some(program) = release.program {
        let tar = Cmd::new("tar").args(["--extract", "--gzip", "--strip-components=1", "--file"]).arg(&archive);
        tar.arg("--directory").arg(&tree).limit(Duration::from_secs(120)).run()?;
        program
    } else {
        fs::set_permissions(&archive, std::fs::Permissions::from_mode(0o755))?;
        fs::rename(&archive, tree.join(tool.name()))?;
        tool.name()
    };
    Ok(cache::publish(tool, &release.version, &tree)?.join(program))
}

/// Downloads a file and returns its SHA-256. A thread of its own does it: an interrupt does not wait for a host that is slow.
fn download(url: &str, to: &Path, step: &Step) -> Result<String> {
    let mirror = std::env::var("LAB_MIRROR").ok().filter(|mirror| !mirror.is_empty());
    let url = mirror.map_or(url.to_owned(), |mirror| mirrored(&mirror, url));
    let length = Arc::new(AtomicU64::new(0));
    let (ended, result) = mpsc::channel();
    let (asked, file, counted) = (url.clone(), to.to_owned(), Arc::clone(&length));
    thread::spawn(move || ended.send(copy(&asked, &file, &counted)));
    poll::until(&format!("the download of {url}"), LIMIT, Duration::from_millis(20), || {
        let so_far = format!("{} MiB", length.load(Ordering::Relaxed) >> 20);
        step.note(&format!("downloading {url}: {so_far}"));
        match result.try_recv() {
            Ok(done) => done.map_or_else(Attempt::Failed, Attempt::Ready),
            Err(TryRecvError::Empty) => Attempt::NotYet(so_far),
            Err(TryRecvError::Disconnected) => Attempt::Failed(anyhow!("the download of {url} panicked")),
        }
    })
}

/// Copies a file from an address, counts its bytes, and returns its SHA-256.
fn copy(url: &str, to: &Path, length: &AtomicU64) -> Result<String> {
    let mut body = http::open(url)?;
    let (mut file, mut hash, mut chunk) =
        (File::create(to)?, digest::Context::new(&digest::SHA256), vec![0; 64 * 1024]);
    loop {
        let read = body.read(&mut chunk).with_context(|| url.to_owned())?;
        if read == 0 {
            return Ok(hexadecimal(&hash.finish()));
        }
        hash.update(&chunk[..read]);
        file.write_all(&chunk[..read])?;
        length.fetch_add(read as u64, Ordering::Relaxed);
    }
}

/// Where a mirror of the release hosts has a file: what lies at `https://HOST/PATH` is at `MIRROR/HOST/PATH`.
fn mirrored(mirror: &str, url: &str) -> String {
    format!("{}/{}", mirror.trim_end_matches('/'), url.trim_start_matches("https://"))
}

/// The SHA-256 that a release lists for a file: in a line `HASH  FILE`, or as the bare hash of the one file.
fn expected(sums: &str, file: &str) -> Result<String> {
    let mut lines = sums.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let hash = lines.find_map(|words| match words[..] {
        [hash] => Some(hash.to_owned()),
        [hash, name] if name.trim_start_matches('*') == file => Some(hash.to_owned()),
        _ => None,
    });
    hash.with_context(|| format!("the release's SHA-256 file does not list {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_stands_alone_or_beside_its_file() {
        for sums in ["00", "11  other.tar.gz\n00  a.tar.gz\n", "00 *a.tar.gz"] {
            assert_eq!(expected(sums, "a.tar.gz").unwrap(), "00", "{sums}");
        }
        assert!(expected("00  other.tar.gz\n", "a.tar.gz").is_err());
    }
}
