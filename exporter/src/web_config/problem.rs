//! What is wrong with a web configuration, in one line that never holds a secret.

use std::fmt;

use serde_saphyr::Error as Yaml;

/// What is wrong, and in which line of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    line: Option<u64>,
    what: String,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { line: None, what: what.into() }
    }

    pub(super) fn at(line: u64, what: impl Into<String>) -> Self {
        Self { line: Some(line), what: what.into() }
    }
}

/// Repeats nothing of the file: what is in the wrong place may be a key or a password's hash.
impl From<Yaml> for Problem {
    fn from(error: Yaml) -> Self {
        let line = error.location().map(|at| at.line()).filter(|line| *line > 0);
        let what = match &error {
            Yaml::SerdeUnknownField { expected, .. } => format!("unknown key; expected one of {}", list(expected)),
            Yaml::SerdeUnknownVariant { expected, .. } => format!("unknown value; expected one of {}", list(expected)),
            Yaml::SerdeInvalidType { expected, .. } | Yaml::SerdeInvalidValue { expected, .. } => {
                format!("invalid value; expected {expected}")
            }
            Yaml::InvalidScalar { ty: expected, .. } | Yaml::Unexpected { expected, .. } => {
                format!("invalid value; expected {}", expected.trim_end_matches(" start"))
            }
            Yaml::DuplicateMappingKey { .. } => "duplicate key".to_string(),
            Yaml::MultipleDocuments { .. } => "more than one document".to_string(),
            Yaml::NullIntoString { .. } => "missing value".to_string(),
            _ => "invalid YAML".to_string(),
        };
        Self { line, what }
    }
}

/// The empty text, which stands for a default, is left out.
fn list(names: &[&str]) -> String {
    names.iter().copied().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(out, "line {line}: {}", self.what),
            None => out.write_str(&self.what),
        }
    }
}
