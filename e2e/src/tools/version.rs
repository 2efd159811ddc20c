//! Versions as programs print them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};

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

/// Asks a program for its version; a program that was built without one has none.
pub(super) fn ask(tool: Tool, path: &Path) -> Result<Option<Version>> {
    let output = Cmd::new(path)
        .args(tool.version_args())
        .limit(Duration::from_secs(10))
        .run()
        .map_err(|error| anyhow!("{}: {}", path.display(), error.reason()))?;
    Ok(said(&output.stdout).or_else(|| said(&output.stderr)))
}

/// The version after the word `version`, or at the start of a text without that word. A program that was built without a
/// version prints `version  (branch: …)`, and the Go version after that is not its own.
fn said(text: &str) -> Option<Version> {
    let lower = text.to_lowercase();
    let after = lower.split_once("version").map_or(lower.as_str(), |(_, after)| after);
    let words = after.trim_start_matches(':').split_whitespace();
    let own =
        words.take_while(|word| !word.starts_with('(')).find(|word| word.contains(|c: char| c.is_ascii_digit()))?;
    first(own)
}

/// The first thing in a text that looks like `1.2.3` or `1.2`.
pub(super) fn first(text: &str) -> Option<Version> {
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
        assert_eq!(said(prometheus), Some(Version(2, 53, 3)));
        assert_eq!(said("kind v0.27.0 go1.24.4 linux/amd64"), Some(Version(0, 27, 0)));
        assert_eq!(said("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0"), Some(Version(1, 32, 4)));
        assert_eq!(said("Version 9.4 (commit: 1)"), Some(Version(9, 4, 0)));
        assert_eq!(said("no version 7 here"), None);
    }

    #[test]
    fn a_build_without_a_version_has_none() {
        let built_by_hand =
            "prometheus, version  (branch: , revision: unknown)\n  build user:\n  go version:       go1.26.8";
        assert_eq!(said(built_by_hand), None);
    }
}
