//! Every alert is seen to fire and to resolve, with a real exporter under a real Prometheus. What each is
//! about is brought about: another procfs tree, an exporter that does not answer, a target that is taken away.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::backend::Backend as _;
use e2e::backend::local::{Local, Options};
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use e2e::workspace::rules::RULES;
use e2e::workspace::rules::RuleFile;
use fs_err as fs;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::stacks::Own;

/// Prometheus takes up to 10 s to act on a changed target list.
const LIMIT: Duration = Duration::from_secs(40);

const ALERTS: [&str; 8] = [
    "MiniNodeExporterAbsent",
    "MiniNodeExporterCollectorFailing",
    "MiniNodeExporterLoadHigh",
    "MiniNodeExporterNodeNotScraped",
    "MiniNodeExporterNodeRebooted",
    "MiniNodeExporterNodesDown",
    "MiniNodeExporterTargetDown",
    "MiniNodeExporterUpTooLong",
];

#[test]
fn every_alert_fires_and_resolves() -> Result<()> {
    let rules = RuleFile::read_all(&workspace::root().join(RULES))?;
    let shipped: BTreeSet<&str> = rules.iter().flat_map(RuleFile::rules).filter_map(|r| r.alert.as_deref()).collect();
    ensure!(shipped == ALERTS.into(), "of {shipped:?} only {ALERTS:?} have a part below");
    for (index, file) in rules.iter().enumerate() {
        replace(&quick_rules().join(format!("{index}.yml")), &file.quickened("1s"))?;
    }

    let tree = tempfile::tempdir()?;
    let procfs = |file: &str, text: &str| replace(&tree.path().join(file), text);
    procfs("sys/kernel/hostname", "worker-1\n")?;
    procfs("uptime", "100000.00 1.00\n")?;
    procfs("loadavg", "0.57 0.80 0.77 2/816 12345\n")?;

    let options =
        Options { procfs: Some(tree.path().into()), edit_config: Some(take_targets_from_a_file), ..Options::default() };
    let own = Own::start(options)?;
    let lab = &own.local;
    let targets = lab.run().dir().join("nodes.json");
    let address = lab.stack().exporters[0].base().trim_start_matches("http://");
    // One exporter stands for two nodes: more than one must be down for MiniNodeExporterNodesDown.
    let node = |name: &str| json!({ "targets": [address], "labels": { "node": name, "instance": name } });
    let listed = json!([node("worker-1"), node("worker-2")]);
    replace(&targets, &listed.to_string())?;
    scraped(lab)?;
    firing(lab, "at rest", &[])?;

    procfs("loadavg", "9.00 9.00 9.00 2/816 12345\n")?;
    procfs("uptime", "10.00 1.00\n")?;
    firing(lab, "busy after a reboot", &["MiniNodeExporterLoadHigh", "MiniNodeExporterNodeRebooted"])?;
    procfs("loadavg", "0.57 0.80 0.77 2/816 12345\n")?;
    procfs("uptime", "2000.00 1.00\n")?;
    firing(lab, "half an hour later", &[])?;

    procfs("uptime", "15552001.00 1.00\n")?;
    firing(lab, "after 180 days", &["MiniNodeExporterUpTooLong"])?;
    procfs("uptime", "2000.00 1.00\n")?;
    firing(lab, "half an hour after the next boot", &[])?;

    procfs("loadavg", "garbage\n")?;
    firing(lab, "with a bad loadavg", &["MiniNodeExporterCollectorFailing"])?;
    procfs("loadavg", "0.57 0.80 0.77 2/816 12345\n")?;
    firing(lab, "with a good loadavg", &[])?;

    lab.exporter().context("no exporter")?.signal(Signal::STOP);
    firing(lab, "with a stopped exporter", &["MiniNodeExporterNodesDown", "MiniNodeExporterTargetDown"])?;
    lab.exporter().context("no exporter")?.signal(Signal::CONT);
    firing(lab, "with an exporter that goes on", &[])?;

    replace(&targets, "[]")?;
    firing(lab, "without its target", &["MiniNodeExporterAbsent", "MiniNodeExporterNodeNotScraped"])?;
    replace(&targets, &listed.to_string())?;
    firing(lab, "with its target", &[])
}

/// The rules with short waits, in a place that a function pointer knows.
fn quick_rules() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("quick-rules")
}

fn take_targets_from_a_file(config: &mut Value) {
    config["rule_files"] = json!([quick_rules().join("*.yml")]);
    let job = &mut config["scrape_configs"][0];
    job.as_object_mut().map(|job| job.remove("static_configs"));
    job["file_sd_configs"] = json!([{ "files": ["nodes.json"], "refresh_interval": "1s" }]);
}

/// Waits until the exporter is scraped and its node's threshold recorded.
fn scraped(lab: &Local) -> Result<()> {
    let query = r#"node_load{duration="15m"} < on (node) group_left mini_node_exporter:load_threshold"#;
    until(lab, "the first scrape", || {
        let count = lab.stack().prometheus.query(query)?.len();
        Ok(if count == 2 { Attempt::Ready(()) } else { Attempt::NotYet(format!("{count} nodes")) })
    })
}

/// Waits until exactly these alerts fire.
fn firing(lab: &Local, state: &str, wanted: &[&str]) -> Result<()> {
    let wanted: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
    until(lab, &format!("{state}: exactly {wanted:?} firing"), || {
        let samples = lab.stack().prometheus.query(r#"ALERTS{alertstate="firing"}"#)?;
        let seen: BTreeSet<String> = samples.iter().map(|sample| sample.label("alertname").to_owned()).collect();
        Ok(if seen == wanted { Attempt::Ready(()) } else { Attempt::NotYet(format!("{seen:?} firing")) })
    })
}

fn until(lab: &Local, what: &str, look: impl Fn() -> Result<Attempt<()>>) -> Result<()> {
    poll::until(what, LIMIT, Duration::from_millis(100), || match (look(), lab.alive()) {
        (_, Err(error)) | (Err(error), _) => Attempt::Failed(error),
        (Ok(attempt), Ok(())) => attempt,
    })
}

/// Writes a file at once: its reader sees the old or the new text, never half of it.
fn replace(file: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    let aside = file.with_extension(format!("{}.new", std::process::id()));
    fs::write(&aside, text)?;
    Ok(fs::rename(aside, file)?)
}
