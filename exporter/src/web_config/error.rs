//! What is wrong with a web configuration, in one line that never holds a secret.

/// What is wrong, and in which line of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    pub(super) fn at(line: usize, what: impl std::fmt::Display) -> Self {
        Self(format!("line {line}: {what}"))
    }
}
