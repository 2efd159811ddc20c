//! `uptime`: what Prometheus has is what the kernel says, and it grows as the kernel's does.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::stack::{JOB, Stack};

/// The age that the newest sample may have, in seconds: the widest scrape interval that a lab uses, and some.
const AGE: f64 = 5.0;

/// Exact on a fixture tree; on a live procfs within 5 s of the kernel's figure, and growing.
pub(super) fn uptime(subject: Subject<'_>) -> Outcome {
    let stack = subject.stack();
    Outcome::from(if stack.procfs.is_live() { moving(subject) } else { exact(subject) })
}

fn exact(subject: Subject<'_>) -> Result<String> {
    let stack = subject.stack();
    let [wanted] = stack.procfs.numbers("uptime")?;
    subject.poll("the fixture's uptime", FIRST_SAMPLE, || {
        for (node, seen) in scraped(stack)? {
            #[expect(clippy::float_cmp, reason = "the same text was parsed on both ways")]
            let same = seen == wanted;
            ensure!(same, "node_uptime of {node} is {seen}, and the fixture's uptime says {wanted}");
        }
        Ok(())
    })?;
    Ok(format!("{wanted} s on every node, exactly the fixture's value"))
}

fn moving(subject: Subject<'_>) -> Result<String> {
    let stack = subject.stack();
    let first = subject.poll("uptime as the kernel has it", FIRST_SAMPLE, || {
        let seen = scraped(stack)?;
        // The kernel's own figure: what the exporter makes of it is what is in question.
        let [own] = stack.procfs.numbers("uptime")?;
        for (node, seen) in &seen {
            ensure!((own - seen).abs() <= AGE, "node_uptime of {node} is {seen}, and the kernel says {own}");
        }
        Ok(seen)
    })?;
    let second = subject.poll("uptime growing", Duration::from_secs(20), || {
        let seen = scraped(stack)?;
        for (node, now) in &seen {
            let before = first.get(node).copied().unwrap_or_default();
            ensure!(*now > before, "node_uptime of {node} is {now} and was {before} before");
        }
        Ok(seen)
    })?;
    let values: Vec<String> = second.iter().map(|(node, seen)| format!("{node} {seen} s")).collect();
    Ok(format!("{}, growing", values.join(", ")))
}

/// The scraped uptime of every node of the stack.
fn scraped(stack: &Stack) -> Result<BTreeMap<String, f64>> {
    let samples = stack.prometheus.query(&format!(r#"node_uptime{{job="{JOB}"}}"#))?;
    let seen: BTreeMap<String, f64> =
        samples.iter().map(|sample| (sample.label("node").to_owned(), sample.value)).collect();
    let missing: Vec<&String> = stack.nodes.iter().filter(|node| !seen.contains_key(*node)).collect();
    ensure!(missing.is_empty(), "no sample of `node_uptime` from {missing:?}");
    Ok(seen)
}
