//! What a scenario expects at a time: a query's answer, or a page.

use std::time::Duration;

use super::pages::PageExpectation;
use crate::client::prometheus::{Labels, Sample};
use crate::play::file::Test;
use crate::play::notation::written;

/// Something that is expected at a time.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// When, from the first step on.
    pub at: Duration,
    /// In words.
    pub text: String,
    pub what: What,
}

/// What is expected, and of whom.
#[derive(Clone, Debug)]
pub enum What {
    /// Of Prometheus.
    Answer(Question),
    /// Of Alertmanager.
    Pages(PageExpectation),
}

/// A query and its answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// The alert that it is about, if it is about one.
    pub alert: Option<String>,
    pub expr: String,
    answer: Vec<(Labels, f64)>,
}

/// All that promtool reads of a test.
pub(super) fn all(test: &Test) -> Vec<Expectation> {
    let alerts = test.alerts.iter().map(|test| {
        let alerts = test.expected.iter().map(|(labels, _)| labels);
        let name = &test.name;
        let shown: Vec<String> = alerts.clone().map(|labels| written(&without_name(labels))).collect();
        let said =
            if shown.is_empty() { "does not fire".to_owned() } else { format!("fires for {}", shown.join(" and ")) };
        let firing = |labels: &Labels| {
            let added = [("__name__", "ALERTS"), ("alertstate", "firing")];
            let added = added.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (labels.clone().into_iter().chain(added).collect(), 1.0)
        };
        let expr = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}");
        let question = Question { alert: Some(name.clone()), expr, answer: alerts.map(firing).collect() };
        Expectation { at: test.at, text: format!("{name} {said}"), what: What::Answer(question) }
    });
    let queries = test.queries.iter().map(|test| {
        let answer = test.expected.clone();
        let returned = listed(answer.iter().map(|(labels, value)| (labels, *value)));
        let question = Question { alert: None, expr: test.expr.clone(), answer };
        Expectation { at: test.at, text: format!("{} returns {returned}", test.expr), what: What::Answer(question) }
    });
    alerts.chain(queries).collect()
}

/// Samples in words.
pub(super) fn listed<'l>(samples: impl Iterator<Item = (&'l Labels, f64)>) -> String {
    let samples: Vec<String> = samples.map(|(labels, value)| format!("{} {value}", written(labels))).collect();
    if samples.is_empty() { "nothing".to_owned() } else { samples.join(", ") }
}

impl Expectation {
    /// The alerts that it names.
    pub(super) fn alerts(&self) -> Vec<&str> {
        match &self.what {
            What::Answer(question) => question.alert.as_deref().into_iter().collect(),
            What::Pages(expectation) => expectation.alerts().collect(),
        }
    }
}

impl Question {
    /// Whether these samples are the answer.
    pub(super) fn is_met_by(&self, samples: &[&Sample]) -> bool {
        let is_there = |(labels, value): &(Labels, f64)| {
            samples.iter().any(|sample| sample.labels == *labels && (sample.value - value).abs() <= 1e-6 * value.abs())
        };
        samples.len() == self.answer.len() && self.answer.iter().all(is_there)
    }
}

fn without_name(labels: &Labels) -> Labels {
    labels.iter().filter(|(name, _)| *name != "alertname").map(|(name, value)| (name.clone(), value.clone())).collect()
}
