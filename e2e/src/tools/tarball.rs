//! Official release tarballs, checked against the release's own SHA-256 file. `curl` fetches: it knows the machine's
//! proxy and certificates, and keeps TLS out of this crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::cache;
use super::known::Tool;
use crate::process::command::Cmd;
use crate::terminal::progress::Step;
use crate::tools::digest::sha256;

/// Fetches, checks and unpacks a tool's tarball, and gives the program's path.
pub(super) fn fetch(tool: Tool, step: &Step) -> Result<PathBuf> {
    let tarball = tool.tarball().with_context(|| format!("no release tarball is known for {}", tool.name()))?;
    let file = (tarball.file)(platform()?);
    let scratch = cache::scratch(tool)?;
    let archive = scratch.path().join("archive");
    let sums = scratch.path().join("sums");
    step.note(&format!("asking for {file}"));
    let sums_file = (tarball.sums)(&file);
    download(&format!("{}/{sums_file}", tarball.base), &sums)?;
    step.note(&format!("downloading {file}"));
    download(&format!("{}/{file}", tarball.base), &archive)?;
    verify(&archive, &fs::read_to_string(&sums)?, &file)?;
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree)?;
    Cmd::new("tar")
        .args(["--extract", "--gzip", "--strip-components=1", "--file"])
        .arg(&archive)
        .arg("--directory")
        .arg(&tree)
        .limit(Duration::from_secs(120))
        .run()?;
    let version = file.trim_end_matches(".tar.gz");
    Ok(cache::publish(tool, version, &tree)?.join(tarball.program))
}

fn download(url: &str, to: &Path) -> Result<()> {
    // Five seconds to reach the host; then as long as at least a little arrives.
    let limits = ["--connect-timeout", "5", "--speed-limit", "10000", "--speed-time", "20", "--max-time", "600"];
    Cmd::new("curl")
        .args(["--fail", "--silent", "--show-error", "--location", "--proto", "=https"])
        .args(limits)
        .arg("--output")
        .arg(to)
        .arg(url)
        .limit(Duration::from_secs(620))
        .run()
        .map_err(
            |error| if error.not_found() { anyhow!("`curl` is not on PATH") } else { anyhow!("{}", error.last_line()) },
        )?;
    Ok(())
}

fn verify(archive: &Path, sums: &str, file: &str) -> Result<()> {
    // Either `HASH  FILE` lines, or a bare hash for the one file.
    let mut lines = sums.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let wanted = lines
        .find_map(|words| match words[..] {
            [hash] => Some(hash.to_owned()),
            [hash, name] if name.trim_start_matches('*') == file => Some(hash.to_owned()),
            _ => None,
        })
        .with_context(|| format!("the release's SHA-256 file does not name {file}"))?;
    let got = sha256(&fs::read(archive)?);
    if got != wanted {
        bail!("{file} has SHA-256 {got}, and its release says {wanted}: it was not unpacked");
    }
    Ok(())
}

fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux_amd64"),
        ("linux", "aarch64") => Ok("linux_arm64"),
        ("macos", "x86_64") => Ok("darwin_amd64"),
        ("macos", "aarch64") => Ok("darwin_arm64"),
        (os, arch) => bail!("there is no release for {os} on {arch}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_held_against_its_release_s_hash() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a");
        fs::write(&archive, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&archive, abc, "a.tar.gz").unwrap();
        verify(&archive, &format!("00  other.tar.gz\n{abc}  a.tar.gz\n"), "a.tar.gz").unwrap();
        let wrong = verify(&archive, "00  a.tar.gz\n", "a.tar.gz").unwrap_err().to_string();
        assert!(wrong.contains(abc) && wrong.contains("its release says 00"), "{wrong}");
        assert!(verify(&archive, "00  other.tar.gz\n", "a.tar.gz").is_err());
    }
}
