//! `labels-stable`: no series changes its labels when the program is restarted, as a start time, a port or a random id
//! among them makes it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::prometheus::Labels;
use crate::stack::Stack;
use crate::terminal::out;

/// The series of each metric.
type Series = BTreeMap<String, BTreeSet<Labels>>;

/// The series after a restart are those before it.
pub(super) fn labels_stable(subject: Subject<'_>) -> Outcome {
    match run(subject) {
        Ok(Some(observed)) => Ok(observed).into(),
        Ok(None) => Outcome::Omitted { reason: "nothing to restart; name a program with `--command`" },
        Err(error) => Err::<String, _>(error).into(),
    }
}

fn run(subject: Subject<'_>) -> Result<Option<String>> {
    let stack = subject.stack();
    if !subject.backend.can_restart() {
        return Ok(None);
    }
    let before = subject.poll("series of the program", FIRST_SAMPLE, || series(stack))?;
    subject.backend.restart()?;
    let restarted = stack.prometheus.query("time()")?.first().context("`time()` returned no sample")?.value;
    let job = &stack.job;
    let scraped = format!(r#"min(timestamp(up{{job="{job}"}}) and up{{job="{job}"}} == 1) > {restarted}"#);
    let after = subject.poll("a scrape after the restart", FIRST_SAMPLE, || {
        ensure!(!stack.prometheus.query(&scraped)?.is_empty(), "the restarted program has not been scraped");
        series(stack)
    })?;
    let changes = changes(&before, &after);
    if !changes.is_empty() {
        bail!(
            "{} at a restart:\n  {}",
            out::count(changes.len(), "label changes", "labels change"),
            changes.join("\n  ")
        );
    }
    let count = out::count(before.len(), "metric has", "metrics have");
    Ok(Some(format!("{count} the same labels after a restart")))
}

fn series(stack: &Stack) -> Result<Series> {
    let mut series = Series::new();
    for mut sample in stack.prometheus.query(&format!(r#"{{job="{}"}}"#, stack.job))? {
        let name = sample.labels.remove("__name__").unwrap_or_default();
        series.entry(name).or_default().insert(sample.labels);
    }
    ensure!(series.contains_key("up") && series.len() > 5, "no samples");
    Ok(series)
}

/// What is wrong with each label that changes, and the metrics that have it. A metric with a series that stays has values
/// that come and go for another reason, and one that is not there yet has none.
pub(super) fn changes(before: &Series, after: &Series) -> Vec<String> {
    let mut of_labels: BTreeMap<&str, (Vec<&str>, &str, &str)> = BTreeMap::new();
    for (metric, old) in before {
        let Some(new) = after.get(metric).filter(|new| old.is_disjoint(new)) else { continue };
        let Some((old, new)) = old.first().zip(new.first()) else { continue };
        for label in old.keys().chain(new.keys()).filter(|label| old.get(*label) != new.get(*label)) {
            let [was, is] = [old, new].map(|labels| labels.get(label).map_or("", String::as_str));
            let (metrics, ..) = of_labels.entry(label).or_insert((Vec::new(), was, is));
            if metrics.last() != Some(&metric.as_str()) {
                metrics.push(metric);
            }
        }
    }
    let line = |(label, (metrics, was, is)): (&str, (Vec<&str>, &str, &str))| {
        format!("`{label}` of {}, such as from `{was}` to `{is}`", out::names(&metrics))
    };
    of_labels.into_iter().map(line).collect()
}
