//! What a scenario expects: queries with known answers, so that both judges are asked the same.

use std::fmt;
use std::time::Duration;

use crate::client::prometheus::{Labels, Sample};
use crate::play::notation::written;

/// Something that is expected at a time.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The line of the file.
    pub line: u64,
    /// When, from the first step on.
    pub at: Duration,
    /// In words.
    pub text: String,
    /// The alert that it is about, if it is about one.
    pub alert: Option<String>,
    pub questions: Vec<Question>,
}

/// A query and its samples.
#[derive(Clone, Debug)]
pub struct Question {
    pub expr: String,
    pub answer: Vec<(Labels, f64)>,
}

impl Expectation {
    /// These alerts of one name fire, each with at least these labels, and no others do.
    pub(super) fn alerts(line: u64, at: Duration, name: &str, alerts: &[Labels]) -> Self {
        let firing = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"");
        if alerts.is_empty() {
            let question = Question { expr: format!("{firing}}}"), answer: Vec::new() };
            let (text, alert) = (format!("{name} does not fire"), Some(name.to_owned()));
            return Self { line, at, text, alert, questions: vec![question] };
        }
        let count = |more: &str, answer: f64| Question {
            expr: format!("count({firing}{more}}})"),
            answer: vec![(Labels::new(), answer)],
        };
        let labels = |labels: &Labels| LabelList(labels).to_string();
        #[expect(clippy::cast_precision_loss, reason = "a count of alerts is small")]
        let mut questions = vec![count("", alerts.len() as f64)];
        questions.extend(alerts.iter().map(|alert| count(&format!(", {}", labels(alert)), 1.0)));
        let text = alerts.iter().map(|alert| format!("{{{}}}", labels(alert))).collect::<Vec<_>>().join(" and ");
        Self { line, at, text: format!("{name} fires for {text}"), alert: Some(name.to_owned()), questions }
    }

    pub(super) fn query(line: u64, at: Duration, expr: String, answer: Vec<(Labels, f64)>) -> Self {
        let samples: Vec<String> =
            answer.iter().map(|(labels, value)| format!("{} {value}", written(labels))).collect();
        let returned = if samples.is_empty() { "nothing".to_owned() } else { samples.join(", ") };
        Self {
            line,
            at,
            text: format!("{expr} returns {returned}"),
            alert: None,
            questions: vec![Question { expr, answer }],
        }
    }
}

impl Question {
    /// Whether these samples are the answer.
    pub(super) fn is_answered_by(&self, samples: &[Sample]) -> bool {
        let is_there = |(labels, value): &(Labels, f64)| {
            samples.iter().any(|sample| sample.labels == *labels && (sample.value - value).abs() <= 1e-6 * value.abs())
        };
        samples.len() == self.answer.len() && self.answer.iter().all(is_there)
    }
}

/// Labels between braces.
struct LabelList<'l>(&'l Labels);

impl fmt::Display for LabelList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        f.write_str(&each.join(", "))
    }
}
