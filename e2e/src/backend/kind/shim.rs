//! A `docker` of our own, for `kind` alone, where the engine may not grant every capability.
//!
//! On some nested hosts root lacks `CAP_SYS_RESOURCE`, so that `docker run --privileged`, and with it `kind`, fails
//! with `unable to apply caps`. There a directory comes first on the PATH of `kind` in which `docker` is this very
//! program: it asks for everything that `--privileged` means but that one capability, and becomes the real `docker`.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::process::guard;
use crate::tools;

/// The variable that names the real `docker`.
const REAL: &str = "LAB_REAL_DOCKER";

/// What `--privileged` means, without the one capability. `kind` itself asks for no seccomp and no `AppArmor` profile.
const NEARLY_PRIVILEGED: [&str; 5] = [
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--device=/dev/kmsg",
];

/// Whether this machine needs it: root lacks `CAP_SYS_RESOURCE`, which is bit 24 (capabilities(7)).
pub fn needed() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    bounding_set(&status).is_some_and(|set| set & (1 << 24) == 0)
}

/// Makes the directory that comes first on `kind`'s PATH, if it is not there yet, and gives the variables to start
/// `kind` with.
pub fn install(dir: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let real = tools::on_path("docker").into_iter().next().context("`docker` is not on PATH")?;
    let program = guard::program().context("this process cannot be its own `docker`")?;
    std::fs::create_dir_all(dir)?;
    let link = dir.join("docker");
    if !link.is_symlink() {
        symlink(program, &link).with_context(|| format!("{} cannot be made", link.display()))?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([dir.to_owned()].into_iter().chain(std::env::split_paths(&path)))?;
    Ok(vec![("PATH", path), (REAL, real.into())])
}

/// Becomes the real `docker` when this program was started under that name. `lab` calls it before anything else.
#[must_use = "a shim that could not become `docker` has to exit"]
pub fn enter() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let own = PathBuf::from(args.next()?);
    if own.file_name() != Some(OsStr::new("docker")) {
        return None;
    }
    let real = std::env::var_os(REAL).unwrap_or_else(|| "/usr/bin/docker".into());
    let error = Command::new(&real).args(rewrite(args)).exec();
    crate::terminal::out::note(&format!("{}: {error}", Path::new(&real).display()));
    Some(ExitCode::from(guard::NOT_STARTED))
}

fn rewrite(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let args: Vec<OsString> = args.collect();
    let instead: &[&str] = match args.first().and_then(|arg| arg.to_str()) {
        Some("run") => &NEARLY_PRIVILEGED,
        Some("exec") => &[],
        _ => return args,
    };
    let replace = |arg: OsString| {
        if arg == "--privileged" { instead.iter().map(OsString::from).collect() } else { vec![arg] }
    };
    args.into_iter().flat_map(replace).collect()
}

fn bounding_set(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from);
        rewrite(words).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn run_asks_for_all_but_one_capability() {
        let run = rewritten(&["run", "--name", "n", "--privileged", "image"]);
        assert_eq!(run[..3], ["run", "--name", "n"]);
        assert_eq!(run[3..8], NEARLY_PRIVILEGED);
        assert_eq!(run[8..], ["image"]);
    }

    #[test]
    fn exec_drops_the_flag_and_the_rest_goes_through() {
        assert_eq!(rewritten(&["exec", "--privileged", "n", "true"]), ["exec", "n", "true"]);
        assert_eq!(rewritten(&["ps", "--privileged"]), ["ps", "--privileged"]);
    }

    #[test]
    fn the_lack_is_seen_in_the_bounding_set() {
        assert_eq!(bounding_set("Name:\tx\nCapBnd:\t000001fffeffffff\n"), Some(0x1ff_feff_ffff));
        assert_eq!(bounding_set("Name:\tx\n"), None);
    }
}
