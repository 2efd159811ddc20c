//! promtool's notation of series: `node_load{node="a", duration="1m"}` and `0.5x9 _x3 stale 1+2x4`.

use std::sync::LazyLock;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use promql_parser::util::unquote_string;
use regex::Regex;

use crate::client::prometheus::Labels;

/// One step of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Value(f64),
    Missing,
    Stale,
}

/// The longest series: a year in minutes.
const LONGEST: usize = 527_040;

/// A value, by how much it changes at each step, and how often.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    let number = r"(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI][nN][fF]|[nN][aA][nN])";
    compiled(&format!("^([+-]?{number})([+-]{number})?(?:x([0-9]+))?$"))
});

/// A label and its quoted value.
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r#"^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*(?:,|$)"#)
});

#[expect(clippy::expect_used, reason = "it is written here")]
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Reads a metric's name and its labels, the name as `__name__`.
pub fn series(text: &str) -> Result<Labels> {
    let expected = || format!("invalid series `{text}`; expected NAME{{LABEL=\"VALUE\", …}}");
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let mut inside = rest.trim_end().strip_suffix('}').with_context(expected)?;
    let mut labels = Labels::new();
    if !name.trim().is_empty() {
        labels.insert("__name__".into(), name.trim().into());
    }
    while !inside.trim().is_empty() {
        let found = LABEL.captures(inside).with_context(expected)?;
        let value = unquote_string(&found[2]).map_err(|error| anyhow!(error)).with_context(expected)?;
        labels.insert(found[1].to_owned(), value);
        inside = &inside[found[0].len()..];
    }
    Ok(labels)
}

/// A series as promtool and people write it.
pub fn written(labels: &Labels) -> String {
    let others = labels.iter().filter(|(name, _)| *name != "__name__");
    let others: Vec<String> = others.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", labels.get("__name__").map_or("", String::as_str), others.join(", "))
}

/// Reads the values of a series, every repetition written out.
pub fn values(text: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for word in text.split_whitespace() {
        add(word, &mut steps)
            .with_context(|| format!("invalid value `{word}`; expected A, AxN, A+BxN, A-BxN, `_`, `_xN` or `stale`"))?;
        ensure!(steps.len() <= LONGEST, "a series has {LONGEST} steps at most");
    }
    if steps.is_empty() {
        bail!("no values; expected promtool's notation, e.g. `0.5x9 8.25x35`");
    }
    Ok(steps)
}

/// Adds the steps of a word; `None` for one that is none.
fn add(word: &str, steps: &mut Vec<Step>) -> Option<()> {
    let times = |text: &str| text.parse::<usize>().ok().filter(|times| *times <= LONGEST);
    if word == "stale" {
        steps.push(Step::Stale);
    } else if let Some(rest) = word.strip_prefix('_') {
        let count = if rest.is_empty() { 1 } else { times(rest.strip_prefix('x')?)? };
        steps.extend(std::iter::repeat_n(Step::Missing, count));
    } else {
        let found = VALUE.captures(word)?;
        let (start, change, count) = (found[1].parse::<f64>().ok()?, found.get(2), found.get(3));
        if change.is_some() && count.is_none() {
            return None;
        }
        let change = change.map_or(Some(0.0), |change| change.as_str().parse::<f64>().ok())?;
        let mut value = start;
        steps.push(Step::Value(value));
        // As promtool has it: the first value, and then so many more, each a sum.
        for _ in 0..count.map_or(Some(0), |count| times(count.as_str()))? {
            value += change;
            steps.push(Step::Value(value));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_those_of_promtool() {
        let of = |numbers: &[f64]| numbers.iter().copied().map(Step::Value).collect::<Vec<_>>();
        assert_eq!(values("1x2 5").unwrap(), of(&[1.0, 1.0, 1.0, 5.0]));
        assert_eq!(values("1+2x2 10-5x1").unwrap(), of(&[1.0, 3.0, 5.0, 10.0, 5.0]));
        assert_eq!(values("-1e+1-.5x1 Inf -inf").unwrap(), of(&[-10.0, -10.5, f64::INFINITY, f64::NEG_INFINITY]));
        assert_eq!(values("_ _x2 stale").unwrap(), [Step::Missing, Step::Missing, Step::Missing, Step::Stale]);
        // The sums of floats, as promtool adds them.
        assert_eq!(values("0+0.1x3").unwrap()[3], Step::Value(0.1 + 0.1 + 0.1));
    }

    #[test]
    fn an_invalid_value_is_named() {
        for bad in ["one", "1x", "1+2", "1++2x3", "stalex2", "infinity", "1x-1", "{{count:1}}", "1x99999999"] {
            let error = values(bad).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid value `{bad}`; expected")), "{bad}: {error}");
        }
        assert!(values(" ").is_err());
    }

    #[test]
    fn series_have_a_name_and_labels() {
        let labels = series(r#"node_load{node="a", duration='1,m}', x="q\"",}"#).unwrap();
        let of = |name: &str| labels[name].as_str();
        assert_eq!([of("__name__"), of("node"), of("duration"), of("x")], ["node_load", "a", "1,m}", "q\""]);
        assert_eq!(series("{}").unwrap(), Labels::new());
        for bad in ["up{node=a}", r#"up{a="b" c="d"}"#, "up{"] {
            assert!(series(bad).unwrap_err().to_string().contains("expected NAME{LABEL"));
        }
    }
}
