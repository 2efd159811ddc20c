//! The values that snapshots leave out, on the real process: what it says of itself against what the kernel and the
//! compiler say.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::support::running::{Running, get, output};

#[test]
fn what_it_says_of_itself_is_so() {
    let running = Running::start([""; 0]);
    // The second one: at the first, memory is still growing.
    get(running.address(), "/metrics");
    let began = Instant::now();
    let exposition = running.get("/metrics").1;
    let took = began.elapsed().as_secs_f64();
    assert!(exposition.ends_with('\n') && !exposition.ends_with("\n\n"), "its end: {:?}", exposition.lines().last());

    let statm = std::fs::read_to_string(running.proc("statm")).unwrap();
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect(&statm);
    let kernels = pages * f64::from(u32::try_from(rustix::param::page_size()).unwrap());
    let own = value(&exposition, "process_resident_memory_bytes");
    assert!(
        (own / kernels - 1.0).abs() <= 0.1,
        "process_resident_memory_bytes is {own}, and the kernel says {kernels}"
    );

    let durations = samples(&exposition, "node_scrape_collector_duration_seconds");
    assert_eq!(durations.len(), 2, "{durations:?}");
    let together: f64 = durations.iter().map(|(_, seconds)| seconds).sum();
    assert!(durations.iter().all(|(_, seconds)| *seconds > 0.0), "{durations:?}");
    assert!(together < took, "collectors took {together} s of a scrape of {took} s: {durations:?}");
}

#[test]
fn its_build_is_the_one_that_was_built() {
    let exposition = Running::start([""; 0]).get("/metrics").1;
    let [(labels, 1.0)] = &samples(&exposition, "mini_node_exporter_build_info")[..] else { panic!("{exposition}") };
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["revision", "rustc", "version"]);
    assert_eq!(labels["version"], env!("CARGO_PKG_VERSION"));
    let version = String::from_utf8(output(["--version"]).stdout).unwrap();
    let (revision, rustc) = (&labels["revision"], &labels["rustc"]);
    assert!(version.ends_with(&format!(" (revision {revision}, rustc {rustc})\n")), "{labels:?}, and {version}");
    assert!(said("rustc", &["--version"]).is_some_and(|said| said.contains(&format!(" {rustc} "))), "{labels:?}");
    // A build may be told its revision, and one without git's files knows none, whatever repository is around it.
    let told =
        std::env::var_os("MNE_REVISION").is_some() || !Path::new(env!("CARGO_MANIFEST_DIR")).join("../.git").exists();
    match said("git", &["rev-parse", "HEAD"]).filter(|_| !told) {
        Some(head) => assert_eq!(head[..12], **revision),
        None => assert!(!revision.is_empty(), "{labels:?}"),
    }
}

/// What a program says, if it is here and succeeds.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn value(exposition: &str, metric: &str) -> f64 {
    let [(_, value)] = samples(exposition, metric)[..] else { panic!("not one `{metric}` in:\n{exposition}") };
    value
}

/// Labels and value of each sample of a metric.
fn samples(exposition: &str, metric: &str) -> Vec<(BTreeMap<String, String>, f64)> {
    let lines = exposition.lines().filter_map(|line| line.strip_prefix(metric));
    let lines = lines.filter(|rest| rest.starts_with(['{', ' ']));
    let read = |rest: &str| {
        let (labels, value) = rest.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {metric}{rest}"));
        let labels = labels.trim_matches(['{', '}']).split(',').filter_map(|label| label.split_once('='));
        let labels = labels.map(|(name, text)| (name.to_string(), text.trim_matches('"').to_string()));
        (labels.collect(), value.parse().unwrap_or_else(|error| panic!("{metric}{rest}: {error}")))
    };
    lines.map(read).collect()
}
