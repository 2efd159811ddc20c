//! The text exposition format, version 0.0.4, as far as tests ask about it: samples, their labels, their values.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};

/// One line of an exposition.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub metric: String,
    /// Label names and values.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// Each metric of an exposition, its label names, and the values that each label has there.
pub type Metrics = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Reads an exposition's samples, in their order.
pub fn parse(text: &str) -> Result<Vec<Sample>> {
    text.lines()
        .map(str::trim)
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(index, line)| sample(line).with_context(|| format!("line {}: `{line}`", index + 1)))
        .collect()
}

/// Which metrics with which labels the samples have.
pub fn metrics(samples: &[Sample]) -> Metrics {
    let mut metrics = Metrics::new();
    for sample in samples {
        let labels = metrics.entry(sample.metric.clone()).or_default();
        for (name, value) in &sample.labels {
            labels.entry(name.clone()).or_default().insert(value.clone());
        }
    }
    metrics
}

fn sample(line: &str) -> Result<Sample> {
    let end = line.find(|c: char| !is_name(c)).context("no value")?;
    let (metric, mut rest) = line.split_at(end);
    ensure!(!metric.is_empty(), "no metric name");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = read_labels(inner, &mut labels)?;
    }
    // A timestamp may follow the value.
    let value = rest.split_whitespace().next().context("no value")?;
    let value = value.parse().with_context(|| format!("`{value}` is not a number"))?;
    Ok(Sample { metric: metric.to_owned(), labels, value })
}

/// Reads `name="value",…}` and returns what follows the brace.
fn read_labels<'a>(mut rest: &'a str, labels: &mut BTreeMap<String, String>) -> Result<&'a str> {
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok(rest);
        }
        let (name, quoted) = rest.split_once("=\"").context("a label without a quoted value")?;
        ensure!(!name.is_empty() && name.chars().all(is_name), "`{name}` is not a label name");
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        rest = loop {
            match chars.next() {
                None => bail!("label `{name}` has no closing quote"),
                Some((at, '"')) => break &quoted[at + 1..],
                Some((_, '\\')) => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped)) => value.push(escaped),
                    None => bail!("label `{name}` ends in a backslash"),
                },
                Some((_, char)) => value.push(char),
            }
        };
        ensure!(labels.insert(name.to_owned(), value).is_none(), "label `{name}` stands twice");
    }
}

fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || char == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_labels_escapes_and_special_values() {
        let text =
            "# HELP a help\n# TYPE a gauge\na 1.5\n\nb{x=\"1\",y=\"q\\\"\\\\\\n}, \"} +Inf 1700000000\nc{} NaN\n";
        let samples = parse(text).unwrap();
        assert_eq!(samples[0], Sample { metric: "a".into(), labels: BTreeMap::new(), value: 1.5 });
        assert_eq!((samples[1].labels["y"].as_str(), samples[1].value), ("q\"\\\n}, ", f64::INFINITY));
        assert!(samples[2].value.is_nan());
    }

    #[test]
    fn gathers_the_values_of_each_label() {
        let metrics = metrics(&parse("a{d=\"1m\"} 0\na{d=\"5m\"} 0\nb 1\n").unwrap());
        assert_eq!(metrics["a"]["d"], BTreeSet::from(["1m".to_owned(), "5m".to_owned()]));
        assert!(metrics["b"].is_empty());
    }

    #[test]
    fn says_which_line_is_wrong_and_why() {
        for (text, reason) in [
            ("a", "no value"),
            ("a 1\nb x", "line 2: `b x`: `x` is not a number"),
            ("a{b=\"1} 2", "label `b` has no closing quote"),
            ("a{b=\"1\",b=\"1\"} 2", "label `b` stands twice"),
            ("{b=\"1\"} 2", "no metric name"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
    }
}
