//! `rules-healthy`: Prometheus has loaded the shipped rules, and evaluates each without an error.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::poll_stack;
use crate::backend::Backend;
use crate::checks::report::Outcome;
use crate::workspace;
use crate::workspace::rules::{RULES, Rule, RuleFile};

/// Every rule that ships is loaded, and every loaded one was evaluated with success.
pub(super) fn rules_healthy(backend: &dyn Backend) -> Outcome {
    Outcome::from(look(backend).map(|count| format!("{count} rules loaded and evaluated")))
}

fn look(backend: &dyn Backend) -> Result<usize> {
    let prometheus = &backend.stack().prometheus;
    let files = RuleFile::read_all(&workspace::root().join(RULES))?;
    let shipped: Vec<&str> = files.iter().flat_map(RuleFile::rules).map(Rule::name).collect();
    poll_stack(backend, "every rule healthy", Duration::from_secs(40), || {
        let groups = prometheus.rules()?;
        let rules: Vec<_> = groups.iter().flat_map(|group| &group.rules).collect();
        ensure!(!rules.is_empty(), "Prometheus has loaded no rule");
        for rule in &rules {
            ensure!(rule.health == "ok", "rule `{}` is {} {}", rule.name, rule.health, rule.last_error);
        }
        let missing: Vec<_> = shipped.iter().filter(|name| !rules.iter().any(|rule| rule.name == **name)).collect();
        ensure!(missing.is_empty(), "Prometheus has not loaded {missing:?}");
        Ok(rules.len())
    })
}
