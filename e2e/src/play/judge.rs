//! What was seen in a play against what its test expects, as promtool compares it.

use std::sync::LazyLock;

use regex::Regex;

use super::file::{AlertTest, QueryTest};
use super::notation::written;
use super::plan::Plan;
use super::run::{Answer, Seen};
use crate::client::prometheus::{Labels, Sample};

/// By how much of itself a value may differ that another speed has rounded.
const ROUNDED: f64 = 1e-10;

/// A number in a text.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "it is written here")]
    Regex::new(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?").expect("a valid pattern")
});

/// How what was seen differs from what is expected.
#[derive(Debug, Default)]
pub struct Differences {
    /// The expectations that are not met.
    pub failed: Vec<String>,
    /// Whether a value differs by no more than what another speed may have rounded.
    pub rounded: bool,
}

/// Compares a play with its test.
pub fn differences(plan: &Plan<'_>, seen: &Seen) -> Differences {
    let mut all = Differences { failed: seen.failures.clone(), rounded: false };
    if !all.failed.is_empty() {
        return all;
    }
    let mut judge = Judge { fuzzy: plan.fuzzy_compare, tolerant: plan.is_rounded, rounded: false };
    for test in &plan.test.alerts {
        all.failed.extend(judge.alerts(test, plan, seen));
    }
    for (test, answers) in plan.test.queries.iter().zip(&seen.answers) {
        all.failed.extend(answers.iter().find_map(|(_, answer)| judge.query(test, answer)));
    }
    all.rounded = judge.rounded;
    all
}

/// Compares texts and values.
pub struct Judge {
    /// Whether values may differ in their last bit.
    pub fuzzy: bool,
    /// Whether values may differ by what another speed may have rounded.
    pub tolerant: bool,
    /// Whether one did.
    pub rounded: bool,
}

impl Judge {
    fn alerts(&mut self, test: &AlertTest, plan: &Plan<'_>, seen: &Seen) -> Option<String> {
        let rules = seen.rules.get(&plan.step_of(test.at)).into_iter().flatten();
        let alerts = rules.filter(|rule| rule.name == test.name).flat_map(|rule| &rule.alerts);
        let firing: Vec<_> = alerts.filter(|alert| alert.state == "firing").collect();
        let is_same = are_same(&test.expected, &firing, |(labels, annotations), alert| {
            self.texts(labels, &alert.labels) && self.texts(annotations, &alert.annotations)
        });
        let shown = |labels: &Labels, annotations: &Labels| format!("{} {}", written(labels), written(annotations));
        let expected = test.expected.iter().map(|(labels, annotations)| shown(labels, annotations));
        let firing = firing.iter().map(|alert| shown(&alert.labels, &alert.annotations));
        (!is_same).then(|| {
            let at = humantime::format_duration(test.at);
            format!("{} at {at}: expected {}; firing: {}", test.name, listed(expected), listed(firing))
        })
    }

    fn query(&mut self, test: &QueryTest, answer: &Answer) -> Option<String> {
        let at = humantime::format_duration(test.at);
        let samples = match answer {
            Ok(samples) => samples,
            Err(error) => return Some(format!("`{}` at {at}: {error}", test.expr)),
        };
        let is_same = are_same(&test.expected, samples, |(labels, value), sample| {
            *labels == sample.labels && self.values(*value, sample.value)
        });
        (!is_same).then(|| {
            format!("`{}` at {at}: expected {}; returned: {}", test.expr, expected_samples(test), returned(samples))
        })
    }

    /// Whether values are the same, as far as they may be told apart.
    pub fn values(&mut self, one: f64, other: f64) -> bool {
        #[expect(clippy::float_cmp, reason = "promtool compares so")]
        let is_same = one == other || self.fuzzy && (one.next_up() == other || one.next_down() == other);
        let is_close = self.tolerant && (one - other).abs() <= ROUNDED * one.abs().max(other.abs());
        self.rounded |= is_close && !is_same;
        is_same || is_close
    }

    /// Whether texts are the same but for the last bits of numbers.
    pub fn texts(&mut self, expected: &Labels, seen: &Labels) -> bool {
        if expected == seen {
            return true;
        }
        if !self.tolerant || !expected.keys().eq(seen.keys()) {
            return false;
        }
        expected.values().zip(seen.values()).all(|(one, other)| {
            let numbers =
                |text: &str| NUMBER.find_iter(text).filter_map(|it| it.as_str().parse().ok()).collect::<Vec<f64>>();
            let (ones, others) = (numbers(one), numbers(other));
            NUMBER.replace_all(one, "") == NUMBER.replace_all(other, "")
                && ones.len() == others.len()
                && ones.into_iter().zip(others).all(|(one, other)| self.values(one, other))
        })
    }
}

/// Whether each of some things is the same as one of the others, and there are no more of these.
pub fn are_same<T, U>(expected: &[T], seen: &[U], mut is_same: impl FnMut(&T, &U) -> bool) -> bool {
    let mut left: Vec<&U> = seen.iter().collect();
    left.len() == expected.len()
        && expected.iter().all(|one| {
            let place = left.iter().position(|other| is_same(one, other));
            place.map(|place| left.swap_remove(place)).is_some()
        })
}

/// The samples that a query should return.
pub fn expected_samples(test: &QueryTest) -> String {
    listed(test.expected.iter().map(|(labels, value)| format!("{} {value}", written(labels))))
}

/// The samples that it returned.
pub fn returned(samples: &[Sample]) -> String {
    listed(samples.iter().map(|sample| format!("{} {}", written(&sample.labels), sample.value)))
}

pub fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
