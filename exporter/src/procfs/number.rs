//! The numbers of procfs: digits, optionally a point and digits. Nothing else, though Rust's own parser takes more.

use super::error::ReadErrorKind;

/// Parses one number; errors call it `name`.
pub(super) fn parse(field: Option<&str>, name: &'static str) -> Result<f64, ReadErrorKind> {
    let field = field.ok_or(ReadErrorKind::Missing(name))?;
    if !is_number(field) {
        return Err(ReadErrorKind::NotANumber(name));
    }
    let value: f64 = field.parse().map_err(|_| ReadErrorKind::NotANumber(name))?;
    // Digits alone can still overflow, which Rust's parser reports as infinity.
    if value.is_finite() { Ok(value) } else { Err(ReadErrorKind::TooLarge(name)) }
}

fn is_number(field: &str) -> bool {
    match field.split_once('.') {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => is_digits(field),
    }
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<f64, ReadErrorKind> {
        parse(Some(text), "it")
    }

    #[test]
    fn digits_and_a_point_are_a_number() {
        for (text, value) in [("0", 0.0), ("0.57", 0.57), ("1761.77", 1761.77), ("007", 7.0), ("2.63", 2.63)] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_other_parsers_accept_is_refused() {
        for text in [
            "", ".", "1761.", ".5", "+5", "-1", "1e3", "inf", "NaN", "infinity", "0x10", "1_000", "1,5", "1.2.3", "٣",
            "1 ", "\0",
        ] {
            assert_eq!(number(text), Err(ReadErrorKind::NotANumber("it")), "{text:?}");
        }
        assert_eq!(parse(None, "it"), Err(ReadErrorKind::Missing("it")));
    }

    #[test]
    fn a_number_beyond_a_float_is_refused() {
        assert_eq!(number(&"9".repeat(400)), Err(ReadErrorKind::TooLarge("it")));
        assert_eq!(number(&"0".repeat(400)), Ok(0.0));
    }
}
