//! `/proc/sys/kernel/hostname`: the name of the *reader's* UTS namespace, in a pod the pod's own name.

use super::error::ReadErrorKind;
use super::file::ProcFile;

/// A node's name: one line, trimmed, not empty, no control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname(pub String);

impl ProcFile for Hostname {
    const PATH: &'static str = "sys/kernel/hostname";

    fn parse(text: &str) -> Result<Self, ReadErrorKind> {
        let name = text.trim();
        if name.is_empty() {
            Err(ReadErrorKind::Empty)
        } else if name.contains('\n') {
            Err(ReadErrorKind::SeveralLines)
        } else if name.contains(char::is_control) {
            Err(ReadErrorKind::ControlCharacter)
        } else {
            Ok(Self(name.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_a_name() {
        for (text, name) in
            [("worker-1\n", "worker-1"), ("worker-1", "worker-1"), (" (none) \n\n", "(none)"), ("ü", "ü")]
        {
            assert_eq!(Hostname::parse(text), Ok(Hostname(name.into())), "{text:?}");
        }
    }

    #[test]
    fn no_name_two_names_and_control_characters_are_bad() {
        assert_eq!(Hostname::parse(""), Err(ReadErrorKind::Empty));
        assert_eq!(Hostname::parse(" \n"), Err(ReadErrorKind::Empty));
        assert_eq!(Hostname::parse("a\nb\n"), Err(ReadErrorKind::SeveralLines));
        assert_eq!(Hostname::parse("a\tb\n"), Err(ReadErrorKind::ControlCharacter));
        assert_eq!(Hostname::parse("a\u{1b}[31m\n"), Err(ReadErrorKind::ControlCharacter));
        assert_eq!(Hostname::parse("a\0"), Err(ReadErrorKind::ControlCharacter));
    }
}
