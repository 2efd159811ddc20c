//! Official releases, each file checked against the release's own SHA-256 file before it is unpacked.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fs_err::{self as fs, File};

use super::cache;
use super::digest::Sha256;
use super::known::Tool;
use crate::client::http;
use crate::process::command::Cmd;
use crate::terminal::progress::Step;
use crate::wait::interrupt;

/// Downloads, checks and unpacks a tool's release, and returns the program's path.
pub(super) fn fetch(tool: Tool, step: &Step) -> Result<PathBuf> {
    let release = tool.release(platform()?);
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

/// Downloads a file and returns its SHA-256.
fn download(url: &str, to: &Path, step: &Step) -> Result<String> {
    let mirror = std::env::var("LAB_MIRROR").ok().filter(|mirror| !mirror.is_empty());
    let url = mirror.map_or(url.to_owned(), |mirror| mirrored(&mirror, url));
    let mut body = http::open(&url)?;
    let (mut file, mut hash, mut length) = (File::create(to)?, Sha256::default(), 0);
    let mut chunk = vec![0; 64 * 1024];
    loop {
        interrupt::check()?;
        let read = body.read(&mut chunk).with_context(|| format!("{url}: stopped after {length} bytes"))?;
        if read == 0 {
            return Ok(hash.finish());
        }
        length += read;
        hash.update(&chunk[..read]);
        file.write_all(&chunk[..read])?;
        step.note(&format!("downloading {url}: {} MiB", length >> 20));
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

fn platform() -> Result<(&'static str, &'static str)> {
    let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    match std::env::consts::ARCH {
        "x86_64" => Ok((os, "amd64")),
        "aarch64" => Ok((os, "arm64")),
        other => bail!("there is none for {other}"),
    }
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
