//! promtool's notation of series: `node_load{node="a", duration="1m"}` and `0.5x9 _x3 stale 1+2x4`.

use anyhow::{Context as _, Result, bail, ensure};

use crate::client::prometheus::Labels;

/// One step of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Value(f64),
    Missing,
    Stale,
}

/// The longest series: a week in minutes.
const LONGEST: usize = 10_080;

/// Reads a metric's name and its labels, the name as `__name__`.
pub(super) fn series(text: &str) -> Result<Labels> {
    let expected = || format!("invalid series `{text}`; expected NAME{{LABEL=\"VALUE\", …}}");
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let inside = rest.trim_end().strip_suffix('}').with_context(expected)?;
    let mut labels = Labels::new();
    if !name.trim().is_empty() {
        labels.insert("__name__".into(), name.trim().into());
    }
    for label in inside.split(',').map(str::trim).filter(|label| !label.is_empty()) {
        let (key, value) = label.split_once('=').with_context(expected)?;
        let value = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"')).with_context(expected)?;
        labels.insert(key.trim().into(), value.into());
    }
    Ok(labels)
}

/// Reads the values of a series, every repetition written out.
pub(super) fn values(text: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for word in text.split_whitespace() {
        let (first, times) = match word.rsplit_once('x') {
            Some((first, times)) => (first, Some(times.parse::<usize>().with_context(|| expected(word))?)),
            None => (word, None),
        };
        ensure!(steps.len() + times.unwrap_or(0) < LONGEST, "a series has {LONGEST} steps at most");
        match (first, times) {
            ("_", times) => steps.extend(std::iter::repeat_n(Step::Missing, times.unwrap_or(1))),
            ("stale", None) => steps.push(Step::Stale),
            _ => {
                let (start, change) = number_and_change(first).with_context(|| expected(word))?;
                ensure!(change == 0.0 || times.is_some(), expected(word));
                // As promtool has it: the first value, and then so many more.
                for count in 0..=times.unwrap_or(0) {
                    #[expect(clippy::cast_precision_loss, reason = "a count of steps is small")]
                    steps.push(Step::Value(start + change * count as f64));
                }
            }
        }
    }
    if steps.is_empty() {
        bail!("no values; expected promtool's notation, e.g. `0.5x9 8.25x35`");
    }
    Ok(steps)
}

fn expected(word: &str) -> String {
    format!("invalid value `{word}`; expected A, AxN, A+BxN, A-BxN, `_`, `_xN` or `stale`")
}

/// `1`, `1+2` or `1-2`: a number, and by how much it changes at each step.
fn number_and_change(text: &str) -> Option<(f64, f64)> {
    let sign = text.get(1..)?.find(['+', '-']).map(|at| at + 1);
    let (first, change) = match sign {
        Some(at) => (&text[..at], text[at..].parse().ok()?),
        None => (text, 0.0),
    };
    let first: f64 = first.parse().ok()?;
    (first.is_finite() && f64::is_finite(change)).then_some((first, change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_those_of_promtool() {
        let of = |numbers: &[f64]| numbers.iter().copied().map(Step::Value).collect::<Vec<_>>();
        assert_eq!(values("1x2 5").unwrap(), of(&[1.0, 1.0, 1.0, 5.0]));
        assert_eq!(values("1+2x2 10-5x1").unwrap(), of(&[1.0, 3.0, 5.0, 10.0, 5.0]));
        assert_eq!(values("_ _x2 stale").unwrap(), [Step::Missing, Step::Missing, Step::Missing, Step::Stale]);
    }

    #[test]
    fn an_invalid_value_is_named() {
        for bad in ["one", "1x", "1+2", "1++2x3", "stalex2", "infx2", "1x-1"] {
            let error = values(bad).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid value `{bad}`; expected")), "{bad}: {error}");
        }
        assert!(values("1x99999999").is_err() && values(" ").is_err());
    }

    #[test]
    fn series_have_a_name_and_labels() {
        let labels = series(r#"node_load{node="a", duration="1m"}"#).unwrap();
        assert_eq!(
            (labels["__name__"].as_str(), labels["node"].as_str(), labels["duration"].as_str()),
            ("node_load", "a", "1m")
        );
        assert_eq!(series("{}").unwrap(), Labels::new());
        assert!(series("up{node=a}").unwrap_err().to_string().contains("expected NAME{LABEL"));
    }
}
