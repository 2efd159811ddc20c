//! What ships and what a stack is held against: the dashboard and the rules. They are read before anything is started,
//! for a file that cannot be read fails every check that needs it.

use anyhow::{Context as _, Result};

use super::dashboard::{self, Dashboard};
use super::root;
use super::rules::{RULES, RuleFile};

/// The dashboard and the rules.
#[derive(Clone, Debug)]
pub struct Shipped {
    pub dashboard: Dashboard,
    pub rules: Vec<RuleFile>,
}

impl Shipped {
    /// Reads the files of this checkout.
    pub fn read() -> Result<Self> {
        Ok(Self {
            dashboard: Dashboard::read(&root().join(dashboard::FILE))?,
            rules: RuleFile::read_all(&root().join(RULES))?,
        })
    }

    /// The uid of the data source with which the dashboard opens.
    pub fn datasource(&self) -> Result<String> {
        self.dashboard.values().remove("datasource").context("the dashboard has no variable `datasource`")
    }
}
