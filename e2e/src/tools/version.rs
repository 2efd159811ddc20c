//! Versions as programs print them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::known::Tool;
use crate::process::command::Cmd;

/// Major, minor and patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Asks a program for its version.
pub(super) fn ask(tool: Tool, path: &Path) -> Result<Version> {
    let output = Cmd::new(path)
        .args(tool.version_args())
        .limit(Duration::from_secs(10))
        .run()
        .map_err(|error| anyhow!("{}: {}", path.display(), error.last_line()))?;
    parse(&output.stdout)
        .or_else(|| parse(&output.stderr))
        .with_context(|| format!("{} does not say its version", path.display()))
}

/// The first thing in a text that looks like `1.2.3` or `1.2`.
pub(super) fn parse(text: &str) -> Option<Version> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut parts = word.split('.').map(|part| part.parse().ok());
        Some(Version(parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        let prometheus = "prometheus, version 2.53.3+ds1 (branch: debian/sid, revision: 2.53.3+ds1-2)";
        assert_eq!(parse(prometheus), Some(Version(2, 53, 3)));
        assert_eq!(parse("kind v0.27.0 go1.24.4 linux/amd64"), Some(Version(0, 27, 0)));
        assert_eq!(parse("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0"), Some(Version(1, 32, 4)));
        assert_eq!(parse("Version 9.4 (commit: 1)"), Some(Version(9, 4, 0)));
        assert_eq!(parse("no version 7 here"), None);
    }
}
