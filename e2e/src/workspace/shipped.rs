//! What ships and what a stack is held against: dashboards and rules. They are read before anything is started, for a
//! file that cannot be read fails every check that needs it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::dashboard::{self, Dashboard};
use super::root;
use super::rules::{RULES, RuleFile};

/// The dashboards and the rules.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// At least one.
    pub dashboards: Vec<Dashboard>,
    pub rules: Vec<RuleFile>,
}

impl Shipped {
    /// Reads the files of this checkout.
    pub fn read() -> Result<Self> {
        Self::read_from(None, None)
    }

    /// As [`Shipped::read`], with other folders in the place of ours.
    pub fn read_from(dashboards: Option<&Path>, rules: Option<&Path>) -> Result<Self> {
        let dashboards = match dashboards {
            Some(dir) => Dashboard::read_all(dir)?,
            None => vec![Dashboard::read(&root().join(dashboard::FILE))?],
        };
        ensure!(!dashboards.is_empty(), "there is no dashboard (*.json) to check");
        let rules = RuleFile::read_all(&rules.map_or_else(|| root().join(RULES), Path::to_owned))?;
        Ok(Self { dashboards, rules })
    }

    /// The uid of the data source with which the first dashboard opens.
    pub fn datasource(&self) -> Result<String> {
        let values = self.dashboards.first().map(Dashboard::values).unwrap_or_default();
        values.get("datasource").cloned().context("the dashboard has no variable `datasource`")
    }
}
