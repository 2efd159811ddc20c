//! The files of this checkout, or those that this program was built with, and the directories beside them (XDG base
//! directory specification).

pub mod dashboard;
pub mod description;
pub mod exporter;
pub mod held;
pub mod opening;
mod pint;
pub mod project;
pub mod promql;
pub mod queries;
pub mod rules;
pub mod variables;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use fs_err as fs;
use include_dir::{Dir, include_dir};

/// The folders of the checkout that every lab needs, by their paths in it.
static EMBEDDED: [(&str, Dir<'_>); 4] = [
    ("fixtures/scenarios", include_dir!("$CARGO_MANIFEST_DIR/../fixtures/scenarios")),
    ("grafana", include_dir!("$CARGO_MANIFEST_DIR/../grafana")),
    ("kustomize/alertmanager", include_dir!("$CARGO_MANIFEST_DIR/../kustomize/alertmanager")),
    ("kustomize/prometheus/rules", include_dir!("$CARGO_MANIFEST_DIR/../kustomize/prometheus/rules")),
];

/// The checkout that this program is run from: by cargo, in its `target/`, or in a directory of it. An installed `lab` has
/// none elsewhere.
pub fn checkout() -> Option<&'static Path> {
    static FOUND: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let of_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let places = [of_cargo, std::env::current_exe().ok(), std::env::current_dir().ok()];
        let is_checkout = |dir: &&Path| {
            ["e2e", "exporter"].iter().all(|member| dir.join(member).join("Cargo.toml").is_file())
                && EMBEDDED.iter().all(|(folder, _)| dir.join(folder).is_dir())
        };
        places.into_iter().flatten().find_map(|place| Some(place.ancestors().find(is_checkout)?.to_owned()))
    });
    FOUND.as_deref()
}

/// The root of this checkout, for what only runs in one.
///
/// # Panics
///
/// Where there is none: a command that needs one fails before, by [`expect_checkout`].
pub fn root() -> &'static Path {
    checkout().expect("a checkout")
}

/// Fails outside a checkout; `what` needs one.
pub fn expect_checkout(what: &str) -> Result<&'static Path> {
    checkout().with_context(|| format!("{what} needs a checkout of mini-node-exporter, and there is none here"))
}

/// How `lab` is called: in a checkout cargo builds it.
pub fn lab() -> &'static str {
    if checkout().is_some() { "cargo lab" } else { "lab" }
}

/// A file or a folder that ships, by its path in the checkout. Outside one it is what this program was built with.
pub fn shipped(path: &str) -> Result<PathBuf> {
    Ok(checkout().map_or_else(unpacked, |root| Ok(root.to_owned()))?.join(path))
}

/// The embedded folders, unpacked into the cache.
fn unpacked() -> Result<PathBuf> {
    let mut hash = DefaultHasher::new();
    for (_, dir) in &EMBEDDED {
        add(dir, &mut hash);
    }
    let cache = cache()?;
    let place = cache.join(format!("shipped-{:016x}", hash.finish()));
    if !place.exists() {
        let new = tempfile::Builder::new().prefix(".shipped-").tempdir_in(&cache)?;
        for (path, dir) in &EMBEDDED {
            let folder = new.path().join(path);
            fs::create_dir_all(&folder)?;
            dir.extract(&folder).with_context(|| folder.display().to_string())?;
        }
        // Another run may have been faster.
        fs::rename(new.path(), &place).or_else(|error| if place.exists() { Ok(()) } else { Err(error) })?;
    }
    Ok(place)
}

fn add(dir: &Dir<'_>, hash: &mut DefaultHasher) {
    for file in dir.files() {
        (file.path(), file.contents()).hash(hash);
    }
    for dir in dir.dirs() {
        add(dir, hash);
    }
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
pub(crate) fn files(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|own| extensions.iter().any(|wanted| own == *wanted)));
    paths.sort();
    Ok(paths)
}
