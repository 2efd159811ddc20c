//! The files of this checkout, and the directories beside it (XDG base directory specification).

pub mod dashboard;
pub mod description;
pub mod exporter;
pub mod held;
pub mod opening;
mod pint;
pub mod project;
pub mod queries;
pub mod rules;
pub mod variables;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail};
use fs_err as fs;

/// The root of this checkout.
///
/// # Panics
///
/// In a checkout that was moved or copied with its `target/`: see [`expect_unmoved`].
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> =
        LazyLock::new(|| expect_unmoved().unwrap_or_else(|error| panic!("{error:#}")).to_owned());
    &ROOT
}

/// Fails in a checkout that was moved or copied with its `target/`, which cargo takes for fresh: the programs in it would
/// go on to read the files of the place where they were built.
pub fn expect_unmoved() -> Result<&'static Path> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Cargo tells what it runs about its package, which may be another one; what is run by hand lies in `target/` below it.
    let is_ours = std::env::var("CARGO_PKG_DESCRIPTION").is_ok_and(|own| own == env!("CARGO_PKG_DESCRIPTION"));
    let of_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|_| is_ours);
    let program = std::env::current_exe().unwrap_or_default();
    let of_program = || program.ancestors().map(|dir| dir.join("e2e")).find(|dir| dir.join("Cargo.toml").is_file());
    if let Some(here) = of_cargo.or_else(of_program)
        && fs::canonicalize(&here).ok() != fs::canonicalize(built).ok()
    {
        bail!(
            "this program was built in {}, and runs in {}: run `cargo clean -p e2e -p mini-node-exporter` here first",
            built.display(),
            here.display()
        );
    }
    built.parent().context("the package has no parent directory")
}

/// `$XDG_CACHE_HOME/mini-node-exporter`: tools that were fetched. May be deleted at any time.
pub fn cache() -> Result<PathBuf> {
    directory("XDG_CACHE_HOME", ".cache")
}

/// `$XDG_STATE_HOME/mini-node-exporter`: running labs and the evidence of failed ones.
pub fn state() -> Result<PathBuf> {
    directory("XDG_STATE_HOME", ".local/state")
}

fn directory(variable: &str, below_home: &str) -> Result<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let base = std::env::var_os(variable)
        .map(PathBuf::from)
        .and_then(absolute)
        .or_else(|| Some(absolute(std::env::var_os("HOME")?.into())?.join(below_home)))
        .with_context(|| format!("neither {variable} nor HOME names an absolute directory: set one of them"))?;
    let path = base.join("mini-node-exporter");
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// Writes a file as a whole: a reader sees the old or the new content, never a part of one.
pub fn replace(file: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, content)?;
    fs::rename(&new, file)
}

/// The files with these extensions in a directory itself, in the order of their names.
fn files(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|own| extensions.iter().any(|wanted| own == *wanted)));
    paths.sort();
    Ok(paths)
}
