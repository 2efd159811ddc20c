//! `rules-healthy`: Prometheus has loaded the shipped rules, and evaluates each without an error.

use std::time::Duration;

use anyhow::ensure;

use super::poll_stack;
use crate::report::Outcome;
use crate::stack::Backend;

/// Every rule was evaluated with success; there is at least one.
pub(super) fn rules_healthy(backend: &dyn Backend) -> Outcome {
    let prometheus = &backend.stack().prometheus;
    let result = poll_stack(backend, "every rule healthy", Duration::from_secs(40), || {
        let groups = prometheus.rules()?;
        let rules: Vec<_> = groups.iter().flat_map(|group| &group.rules).collect();
        ensure!(!rules.is_empty(), "Prometheus has loaded no rule");
        for rule in &rules {
            ensure!(rule.health == "ok", "rule `{}` is {} {}", rule.name, rule.health, rule.last_error);
        }
        Ok(rules.len())
    });
    Outcome::from(result.map(|count| format!("{count} rules loaded and evaluated")))
}
