//! A row of a table of faults: what is planted, and what has to be seen of it.

use anyhow::{Result, ensure};
use e2e::checks::report::{CheckReport, Outcome};
use e2e::process::log;

/// What goes wrong, and what is seen of it.
pub struct Fault<Plant> {
    pub plant: Plant,
    /// Exactly these checks fail.
    pub fails: &'static [&'static str],
    /// One of them says this.
    pub says: &'static str,
}

impl<Plant> Fault<Plant> {
    /// Fails unless exactly the expected checks fail, and one of them says why.
    pub fn is_seen_in(&self, reports: &[CheckReport]) -> Result<()> {
        let failures: Vec<(&str, &String)> = reports
            .iter()
            .filter_map(|report| match &report.outcome {
                Outcome::Failed { observed } => Some((report.name, observed)),
                _ => None,
            })
            .collect();
        let all = failures.iter().map(|(name, observed)| format!("{name}: {observed}")).collect::<Vec<_>>().join("\n");
        let names: Vec<&str> = failures.iter().map(|(name, _)| *name).collect();
        ensure!(
            names == self.fails,
            "these should fail: {:?}\nthese do: {names:?}\n{}",
            self.fails,
            log::quoted("", &all)
        );
        ensure!(all.contains(self.says), "nothing says `{}`:\n{}", self.says, log::quoted("", &all));
        Ok(())
    }
}
