//! A file of a tree.

use super::error::ReadErrorKind;

/// One file of a procfs tree, or of the sysfs beside it.
pub trait ProcFile: Sized {
    /// The path from the root, e.g. `uptime`.
    const PATH: &'static str;

    /// Parses the file's text.
    ///
    /// # Errors
    ///
    /// Says what is wrong, without repeating any of the text.
    fn parse(text: &str) -> Result<Self, ReadErrorKind>;
}
