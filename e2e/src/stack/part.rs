//! A part that a stack can do without.

/// A part of a stack, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<T> {
    /// It is there.
    Here(T),
    /// It was not wanted.
    LeftOut,
    /// It could not be had, for this reason.
    Missing(String),
}

impl<T> Part<T> {
    /// The part, if it is there.
    pub fn here(&self) -> Option<&T> {
        match self {
            Self::Here(part) => Some(part),
            Self::LeftOut | Self::Missing(_) => None,
        }
    }

    /// Makes something of the part, if it is there.
    pub fn try_map<U, E>(self, make: impl FnOnce(T) -> Result<U, E>) -> Result<Part<U>, E> {
        Ok(match self {
            Self::Here(part) => Part::Here(make(part)?),
            Self::LeftOut => Part::LeftOut,
            Self::Missing(why) => Part::Missing(why),
        })
    }
}
