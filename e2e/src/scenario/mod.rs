//! Scenarios: the timelines of nodes as series in promtool's notation, and what is expected of them. One file is judged
//! twice, by a promtool unit test that is made from it and by a real Prometheus that scrapes real exporters while their
//! trees change.
//!
//! A file is a test group of promtool's, with a `name`, an `interval`, `input_series`, `alert_rule_test` and
//! `promql_expr_test`. Its series are these, all of the same length:
//!
//! | series | value | `_` | `stale` |
//! |---|---|---|---|
//! | `node_uptime{node="a"}`, `node_load{node="a", duration="1m"}` | what the file in the node's tree says | the file is missing | the exporter is gone, until the next value |
//! | `up{node="a"}`, 1 if omitted | 1 it answers, 0 it hangs | as before | the target has left discovery, until the next value |
//!
//! The labels that scraping attaches, `up` and the exporter's own metrics follow from these. `exp_labels` names the
//! labels that matter, and an alert may have more. At the first step every node is healthy.

mod expectation;
mod file;
pub mod run;
mod timeline;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

pub use expectation::{Expectation, Question};
pub use timeline::Timeline;

use crate::workspace;

/// Where the shipped scenarios are, in the workspace.
pub const SCENARIOS: &str = "fixtures/scenarios";

/// A valid scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's name without its extension.
    pub name: String,
    /// What happens, in one line.
    pub title: String,
    /// How long a step lasts.
    pub interval: Duration,
    /// Its nodes, step by step.
    pub timelines: Vec<Timeline>,
    /// In the order of time.
    pub expectations: Vec<Expectation>,
}

impl Scenario {
    /// The shipped scenario of that name, or the one in that file.
    pub fn find(name: &str) -> Result<Self> {
        let own = Path::new(name);
        if own.extension().is_some() {
            return Self::read(own);
        }
        let shipped = shipped()?;
        if let Some(path) = shipped.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)) {
            return Self::read(path);
        }
        let names: Vec<_> = shipped.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
        bail!("no scenario `{name}`; there are {}, or name a file `FILE.yml`", names.join(", "))
    }

    /// Every shipped scenario, by name.
    pub fn all() -> Result<Vec<Self>> {
        shipped()?.iter().map(|path| Self::read(path)).collect()
    }

    /// Reads a file. The error names the file, the line and what was expected there.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        file::parse(&name, &text).map_err(|error| error.context(path.display().to_string()))
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        self.timelines.first().map_or(0, |timeline| timeline.steps.len())
    }

    /// How long it lasts.
    pub fn length(&self) -> Duration {
        self.interval * u32::try_from(self.steps().saturating_sub(1)).unwrap_or(u32::MAX)
    }
}

fn shipped() -> Result<Vec<PathBuf>> {
    let folder = workspace::shipped(SCENARIOS)?;
    let entries = fs_err::read_dir(&folder)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    paths.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    Ok(paths)
}
