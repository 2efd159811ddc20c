//! An optional part of a stack.

/// A part of a stack, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<T> {
    /// It runs.
    Here(T),
    /// It was excluded on request.
    Omitted,
    /// It could not be found or downloaded, for this reason.
    Missing(String),
}

impl<T> Part<T> {
    /// The part, if it runs.
    pub fn here(&self) -> Option<&T> {
        match self {
            Self::Here(part) => Some(part),
            Self::Omitted | Self::Missing(_) => None,
        }
    }

    /// Applies a function to the part, if it runs.
    pub fn try_map<U, E>(self, make: impl FnOnce(T) -> Result<U, E>) -> Result<Part<U>, E> {
        Ok(match self {
            Self::Here(part) => Part::Here(make(part)?),
            Self::Omitted => Part::Omitted,
            Self::Missing(why) => Part::Missing(why),
        })
    }
}
