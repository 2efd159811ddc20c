//! `rules-healthy`: Prometheus has loaded the project's rules and evaluates each without an error.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Subject;
use super::report::Outcome;
use crate::client::prometheus::RuleGroup;
use crate::terminal::out;
use crate::workspace::rules::{Rule, RuleFile};

const LIMIT: Duration = Duration::from_secs(40);

/// Every rule of the project is loaded, and every loaded one was evaluated successfully. Without rules in the project all
/// that are loaded are checked.
pub(super) fn rules_healthy(subject: Subject<'_>) -> Outcome {
    let has_loaded_none = |groups: Vec<RuleGroup>| groups.iter().all(|group| group.rules.is_empty());
    if subject.project.rules.is_empty() && subject.stack().prometheus.rules().is_ok_and(has_loaded_none) {
        return super::NO_RULES;
    }
    Outcome::from(run(subject).map(|count| format!("{} loaded and evaluated", out::count(count, "rule", "rules"))))
}

fn run(subject: Subject<'_>) -> Result<usize> {
    let prometheus = &subject.stack().prometheus;
    let expected: Vec<&str> = subject.project.rules.iter().flat_map(RuleFile::rules).map(Rule::name).collect();
    subject.poll("every rule healthy", LIMIT, || {
        let groups = prometheus.rules()?;
        let ours = |name: &str| subject.stack().own || expected.is_empty() || expected.contains(&name);
        let all = groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (rule, group.interval)));
        let rules: Vec<_> = all.filter(|(rule, _)| ours(&rule.name)).collect();
        ensure!(!rules.is_empty(), "Prometheus has loaded no rules");
        for (rule, interval) in &rules {
            // One that is evaluated less often than this may not have been due yet.
            let pending = rule.health == "unknown" && *interval > LIMIT.as_secs_f64();
            ensure!(rule.health == "ok" || pending, "rule `{}` is {} {}", rule.name, rule.health, rule.last_error);
        }
        let missing = super::few(expected.iter().filter(|name| !rules.iter().any(|(rule, _)| rule.name == **name)));
        ensure!(missing.is_empty(), "Prometheus has not loaded {missing}");
        Ok(rules.len())
    })
}
