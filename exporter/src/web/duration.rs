//! Durations as Go writes them: `500ms`, `1m30s`, `1.5h`.

use std::time::Duration;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// None for what is not one, is negative, or is longer than Go's longest, some 292 years. A bare number is nanoseconds.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return within(text.parse().ok()?);
    }
    let (mut rest, mut total) = (text.strip_prefix('+').unwrap_or(text), 0u128);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?);
        let (unit, after) =
            after.split_at(after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len()));
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(nanoseconds(number, u128::from(*nanos))?)?;
        rest = after;
    }
    within(total)
}

/// Exact, where a float would not be.
fn nanoseconds(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(part * unit / scale)
}

fn within(nanos: u128) -> Option<Duration> {
    let nanos = u64::try_from(nanos).ok()?;
    i64::try_from(nanos).is_ok().then(|| Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_is_a_duration() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("1", 1),
            ("1s", 1_000_000_000),
            ("+1s", 1_000_000_000),
            ("500ms", 500_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("10\u{b5}s", 10_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("0.1234567891234567891234s", 123_456_789),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "+",
            "s",
            ".s",
            "1.2.3s",
            "1d",
            "-1s",
            "1 s",
            "1s ",
            "s1",
            "1m2",
            "9223372036854775808ns",
            "99999999999999999999999999999999999999999h",
            "NaN",
            "1e3s",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
