//! A Prometheus on the same network: the checks of every backend, with the values of a fixture to the last digit.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use e2e::backend::Backend;
use e2e::backend::local::prometheus::config;
use e2e::checks::report::{CheckReport, Outcome};
use e2e::checks::{Choice, Subject};
use e2e::client::exporter::Exporter;
use e2e::client::prometheus::Prometheus;
use e2e::run::Run;
use e2e::run::evidence;
use e2e::stack::{Part, Procfs, Stack};
use e2e::terminal::out;
use e2e::wait::interrupt;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace::project::Project;
use e2e::workspace::rules::RULES;
use e2e::{checks, workspace};
use fs_err as fs;
use fs_err::os::unix::fs::symlink;
use serde_json::json;

use crate::running::{PORT, Running};
use crate::site::Site;
use crate::values::fixture;

/// The port that Prometheus listens on, inside its container.
const PROMETHEUS: u16 = 9090;

pub fn every_check_passes_with_exact_values(site: &mut Site) -> Result<()> {
    let pair = Pair::start(site)?;
    let subject = Subject { backend: &pair, project: &Project::shipped()? };
    let reports = checks::run(subject, &Choice::default(), |report| out::note(&report.text()));
    let failed: Vec<String> = reports
        .iter()
        .filter(|report| matches!(report.outcome, Outcome::Failed { .. }))
        .map(CheckReport::text)
        .collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    // An interrupt ends the series of checks early.
    interrupt::check()?;
    ensure!(reports.len() == checks::names().count(), "not every check was run");
    Ok(())
}

/// An exporter and the Prometheus that scrapes it.
struct Pair<'s> {
    site: &'s Site,
    stack: Stack,
    exporter: Running,
    prometheus: Running,
}

impl<'s> Pair<'s> {
    fn start(site: &'s Site) -> Result<Self> {
        let tree = fixture("ten-years-up");
        let exporter = Running::start(site.exporter_on(&tree)?)?;
        let client = Exporter::new(exporter.at(PORT));
        let node = client.hostname()?;
        let prometheus = start_prometheus(site, &node, &exporter.socket(PORT))?;
        let stack = Stack::own(
            BTreeSet::from([node]),
            vec![client],
            Prometheus::new(prometheus.at(PROMETHEUS)),
            Part::Omitted,
            Procfs::Fixture(tree),
        );
        let pair = Self { site, stack, exporter, prometheus };
        pair.await_prometheus()?;
        Ok(pair)
    }

    fn await_prometheus(&self) -> Result<()> {
        let limit = Duration::from_secs(60);
        poll::until("a Prometheus that is ready", limit, Duration::from_millis(100), || {
            match (self.stack.prometheus.ready(), self.alive()) {
                (Ok(()), _) => Attempt::Ready(()),
                (Err(_), Err(ended)) => Attempt::Failed(ended),
                (Err(seen), Ok(())) => Attempt::NotYet(format!("{seen:#}")),
            }
        })
    }
}

fn start_prometheus(site: &Site, node: &str, exporter: &str) -> Result<Running> {
    // The local stack's own configuration, which names its rules and itself relative to its folder.
    let written = site.run().dir().join("prometheus");
    fs::create_dir_all(&written)?;
    fs::write(written.join("prometheus.yml"), serde_json::to_vec_pretty(&config(node, exporter))?)?;
    let itself = json!([{ "targets": [format!("localhost:{PROMETHEUS}")] }]);
    fs::write(written.join("self.json"), itself.to_string())?;
    symlink(workspace::root().join(RULES), written.join("rules"))?;
    Running::start(site.prometheus(&site.stage(&written)?)?)
}

impl Backend for Pair<'_> {
    fn name(&self) -> &'static str {
        "container"
    }

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn run(&self) -> &Run {
        self.site.run()
    }

    fn alive(&self) -> Result<()> {
        for (name, part) in [("the exporter", &self.exporter), ("Prometheus", &self.prometheus)] {
            if !part.container().is_running()? {
                bail!("{name}'s container has ended:\n{}", part.stderr()?);
            }
        }
        Ok(())
    }

    fn complaints(&self) -> Vec<String> {
        self.site.log().lines()
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        evidence::save(self.site.run())
    }
}
