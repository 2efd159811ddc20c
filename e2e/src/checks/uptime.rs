//! `uptime`: the scraped uptime is the kernel's, and grows as the kernel's does.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::report::Outcome;
use super::{FIRST_SAMPLE, Subject};
use crate::client::prometheus::node_of;
use crate::stack::{Procfs, Stack};
use crate::terminal::out;

/// How many seconds a sample may differ from the kernel's figure: the widest scrape interval of a lab with a live tree,
/// with a margin.
const AGE: f64 = 5.0;

/// Exact on a fixture tree; on a live procfs within 5 s of the kernel's figure, and growing; where the nodes' procfs
/// cannot be reached, growing by a second a second up to now.
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
        let fixture = stack.procfs.numbers(stack.names(), "uptime")?;
        let seen = scraped(stack)?;
        for (node, [wanted]) in &fixture {
            let seen = seen[*node];
            #[expect(clippy::float_cmp, reason = "both were parsed from the same text")]
            let same = seen == *wanted;
            ensure!(same, "node_uptime of {node} is {seen}, but the fixture's uptime says {wanted}");
        }
        Ok(seen)
    })?;
    Ok(format!("{}, exactly the fixture's value", list(&seen)))
}

fn moving(subject: Subject<'_>) -> Result<String> {
    let stack = subject.stack();
    let first = subject.poll("the kernel's uptime", FIRST_SAMPLE, || {
        // Before Prometheus is asked, whose newest samples are then newer.
        let kernel = stack.procfs.numbers(stack.names(), "uptime")?;
        let seen = scraped(stack)?;
        for (node, [own]) in &kernel {
            let seen = seen[*node];
            ensure!((own - seen).abs() <= AGE, "node_uptime of {node} is {seen}, but the kernel says {own}");
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

/// Judges by the samples of the last minutes, so that no scrape has to be waited for.
fn unseen(subject: Subject<'_>) -> Result<String> {
    let stack = subject.stack();
    let newest = subject.poll("uptime growing in the last ten minutes", FIRST_SAMPLE, || {
        let history = stack.prometheus.range(&format!(r#"node_uptime{{job="{}"}}[10m]"#, stack.job))?;
        let now = stack.prometheus.query("time()")?.first().context("`time()` returned no sample")?.value;
        let mut newest = BTreeMap::new();
        for node in stack.names() {
            let series = history.iter().find(|series| node_of(&series.labels) == **node);
            let values = series.map(|series| series.values.as_slice()).unwrap_or_default();
            let [.., (before, then), (last, seen)] = values else {
                let count = out::count(values.len(), "sample", "samples");
                anyhow::bail!("node_uptime of {node} has {count} in the last ten minutes; expected two or more");
            };
            let (passed, grown) = (last - before, seen - then);
            // After a reboot the uptime starts again from 0 and is at most the time that passed.
            let rebooted = grown < 0.0 && *seen <= passed + AGE;
            ensure!(
                rebooted || (grown > 0.0 && (grown - passed).abs() <= AGE),
                "node_uptime of {node} grew by {grown:.1} in {passed:.1} s"
            );
            let (age, limit) = (now - last, 2.0 * passed + AGE);
            ensure!(age <= limit, "the newest node_uptime of {node} is {age:.0} s old, more than two scrape intervals");
            newest.insert(node.clone(), *seen);
        }
        Ok(newest)
    })?;
    Ok(format!("{}, growing; the node's /proc cannot be reached; not compared", list(&newest)))
}

fn list(nodes: &BTreeMap<String, f64>) -> String {
    super::few(nodes.iter().map(|(node, seen)| format!("{node} {seen} s")))
}

/// The scraped uptime of every node of the stack.
fn scraped(stack: &Stack) -> Result<BTreeMap<String, f64>> {
    let samples = stack.prometheus.query(&format!(r#"node_uptime{{job="{}"}}"#, stack.job))?;
    let seen: BTreeMap<String, f64> = samples.iter().map(|sample| (sample.node(), sample.value)).collect();
    let missing = super::few(stack.names().iter().filter(|node| !seen.contains_key(*node)));
    ensure!(missing.is_empty(), "no sample of `node_uptime` from {missing}");
    Ok(seen)
}
