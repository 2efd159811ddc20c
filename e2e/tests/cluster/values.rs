//! What Prometheus has: the same checks as on every backend, and values that are known to the last digit.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::kind::Kind;
use e2e::checks;
use e2e::checks::report::Outcome;
use e2e::checks::{Choice, Subject};
use e2e::terminal::out;
use e2e::terminal::progress::Progress;
use e2e::wait::{interrupt, poll};
use e2e::workspace;
use e2e::workspace::project::Project;

/// No node may be without a fresh sample for longer than this while the exporters are replaced.
const LONGEST_GAP: Duration = Duration::from_secs(30);

pub fn every_check_passes(kind: &mut Kind) -> Result<()> {
    let subject = Subject { backend: kind, project: &Project::shipped()? };
    let reports = checks::run(subject, &Choice::default(), |report| out::note(&report.text()));
    // What is not available here was left out when the cluster was made, so a skipped check is a failure.
    let failed: Vec<String> = reports
        .iter()
        .filter(|report| matches!(report.outcome, Outcome::Failed { .. } | Outcome::Skipped { .. }))
        .map(e2e::checks::report::CheckReport::text)
        .collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    interrupt::check()?;
    ensure!(reports.len() == checks::names().count(), "not every check was run");
    Ok(())
}

pub fn a_roll_out_to_a_fixture_tree_gives_exact_values_without_a_gap(kind: &mut Kind) -> Result<()> {
    let fixture = workspace::root().join("fixtures/ten-years-up/proc");
    let began = now();
    kind.roll_out(Some(&fixture), &Progress::default())?;
    // On a fixture tree these ask for exactly its values.
    every_check_passes(kind)?;
    no_gap_since(kind, began)
}

pub fn a_roll_out_back_gives_the_node_s_own_values(kind: &mut Kind) -> Result<()> {
    let began = now();
    kind.roll_out(None, &Progress::default())?;
    every_check_passes(kind)?;
    no_gap_since(kind, began)
}

/// Looks at the times of the samples themselves, so that nothing between two queries is missed.
fn no_gap_since(kind: &Kind, began: f64) -> Result<()> {
    let stack = kind.stack();
    let seconds = (now() - began).ceil() + 10.0;
    let query = format!(r#"node_uptime{{job="mini-node-exporter"}}[{seconds}s]"#);
    let history = stack.prometheus.range(&query)?;
    for node in stack.names() {
        let own = history.iter().filter(|series| series.label("node") == node).flat_map(|series| &series.values);
        let mut points: Vec<f64> = own.map(|(time, _)| *time).filter(|time| *time >= began).collect();
        ensure!(!points.is_empty(), "no sample of {node} since the roll-out began");
        points.extend([began, now()]);
        points.sort_by(f64::total_cmp);
        let gap = points.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        let limit = LONGEST_GAP.as_secs_f64();
        ensure!(gap <= limit * poll::patience(), "{node} had no sample for {gap:.1} s, and {limit} s is the limit");
        let slow = if gap > limit { ", which only LAB_PATIENCE allows" } else { "" };
        eprintln!("ok   {node}: longest time without a sample {gap:.1} s of {limit} s{slow}");
    }
    Ok(())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
