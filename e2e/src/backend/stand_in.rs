//! A backend of nothing but a stack, for unit tests of what is judged of one.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::Backend;
use crate::run::Run;
use crate::stack::Stack;

/// The stack, how long a check of it may wait, and whether a part of it has ended.
pub struct StandIn {
    pub stack: Stack,
    pub limit: Duration,
    pub ended: bool,
}

impl Backend for StandIn {
    fn name(&self) -> &'static str {
        "stand-in"
    }

    fn stack(&self) -> &Stack {
        &self.stack
    }

    fn run(&self) -> &Run {
        panic!("nothing runs")
    }

    fn alive(&self) -> Result<()> {
        ensure!(!self.ended, "a part has ended");
        Ok(())
    }

    fn complaints(&self) -> Vec<String> {
        Vec::new()
    }

    fn check_limit(&self, _: Duration) -> Duration {
        self.limit
    }

    fn save_evidence(&self) -> Result<PathBuf> {
        bail!("nothing runs")
    }
}
