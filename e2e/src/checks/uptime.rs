//! `uptime`: what Prometheus has is what the kernel says, and it grows as the kernel's does.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::prometheus::node_of;
use crate::stack::{Procfs, Stack};
use crate::terminal::out;

/// How far a figure may be from the kernel's, in seconds: the widest scrape interval of a lab with a live tree, and
/// some.
const AGE: f64 = 5.0;

/// Exact on a fixture tree; on a live procfs within 5 s of the kernel's figure, and growing; where no kernel can be
/// seen, growing by a second a second up to now.
pub(super) fn uptime(subject: Subject<'_>) -> Outcome {
    Outcome::from(match subject.stack().procfs {
        Procfs::Fixture(_) | Procfs::Fixtures(_) => exact(subject),
        Procfs::Live(_) | Procfs::LiveInContainer(_) => moving(subject),
        Procfs::Unseen => unseen(subject),
    })
}

fn exact(subject: Subject<'_>) -> Result<String> {
    let stack = subject.stack();
    let seen = subject.poll("the fixture's uptime", FIRST_SAMPLE, || {
        let seen = scraped(stack)?;
        for (node, seen) in &seen {
            let [wanted] = stack.procfs.numbers(node, "uptime")?;
            #[expect(clippy::float_cmp, reason = "the same text was parsed on both ways")]
            let same = *seen == wanted;
            ensure!(same, "node_uptime of {node} is {seen}, and the fixture's uptime says {wanted}");
        }
        Ok(seen)
    })?;
    Ok(format!("{}, exactly the fixture's value", list(&seen)))
}

fn moving(subject: Subject<'_>) -> Result<String> {
    let stack = subject.stack();
    let first = subject.poll("uptime as the kernel has it", FIRST_SAMPLE, || {
        let seen = scraped(stack)?;
        // The kernel's own figure: what the exporter makes of it is what is in question.
        for (node, seen) in &seen {
            let [own] = stack.procfs.numbers(node, "uptime")?;
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
    Ok(format!("{}, growing", list(&second)))
}

/// From the samples that Prometheus already has: nobody waits a scrape interval for what the last minutes show.
fn unseen(subject: Subject<'_>) -> Result<String> {
    let stack = subject.stack();
    let newest = subject.poll("uptime growing in the last ten minutes", FIRST_SAMPLE, || {
        let history = stack.prometheus.range(&format!(r#"node_uptime{{job="{}"}}[10m]"#, stack.job))?;
        let now = stack.prometheus.query("time()")?.first().context("`time()` gives nothing")?.value;
        let mut newest = BTreeMap::new();
        for node in &stack.nodes {
            let series = history.iter().find(|series| node_of(&series.labels) == **node);
            let values = series.map(|series| series.values.as_slice()).unwrap_or_default();
            let [.., (before, then), (last, seen)] = values else {
                let count = out::count(values.len(), "sample", "samples");
                anyhow::bail!("node_uptime of {node} has {count} in the last ten minutes, not two");
            };
            let (passed, grown) = (last - before, seen - then);
            // A node that rebooted starts again from 0, and has got no further than the time that passed.
            let rebooted = grown < 0.0 && *seen <= passed + AGE;
            ensure!(
                rebooted || (grown > 0.0 && (grown - passed).abs() <= AGE),
                "node_uptime of {node} grew by {grown:.1} in {passed:.1} s"
            );
            let (age, limit) = (now - last, 2.0 * passed + AGE);
            ensure!(age <= limit, "the newest node_uptime of {node} is {age:.0} s old, more than two scrapes");
            newest.insert(node.clone(), *seen);
        }
        Ok(newest)
    })?;
    Ok(format!("{}, growing; no kernel can be seen from here to compare with", list(&newest)))
}

fn list(nodes: &BTreeMap<String, f64>) -> String {
    super::few(nodes.iter().map(|(node, seen)| format!("{node} {seen} s")))
}

/// The scraped uptime of every node of the stack.
fn scraped(stack: &Stack) -> Result<BTreeMap<String, f64>> {
    let samples = stack.prometheus.query(&format!(r#"node_uptime{{job="{}"}}"#, stack.job))?;
    let seen: BTreeMap<String, f64> = samples.iter().map(|sample| (sample.node(), sample.value)).collect();
    let missing: Vec<&String> = stack.nodes.iter().filter(|node| !seen.contains_key(*node)).collect();
    ensure!(missing.is_empty(), "no sample of `node_uptime` from {missing:?}");
    Ok(seen)
}
