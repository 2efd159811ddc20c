//! Which groups of rules an expectation depends on. A rule reads what the rules of another group recorded at their last
//! evaluation, so each group on the way may add an interval.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use promql_parser::label::Matchers;
use promql_parser::parser::{Expr, VectorSelector};

use super::plan::{PlayedGroup, Rule};
use super::speed_up::{self, may_select};
use crate::workspace::promql;

/// What an expectation depends on.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The groups, by their places.
    pub groups: BTreeSet<usize>,
    /// The longest interval of those from which the expectation itself reads.
    pub own: Duration,
    /// The longest sum of the intervals of groups that read each other.
    pub whole: Duration,
    /// What a rule reads from another group, and that group's place.
    pub through: BTreeSet<(String, usize)>,
}

/// The rules, as far as others read their results.
pub struct Records<'a>(&'a [PlayedGroup]);

/// A chain, and how long what each rule on it reads may take to reach it.
#[derive(Default)]
struct Walk {
    chain: Chain,
    delays: BTreeMap<Place, Duration>,
}

/// The places of a group, and of a rule in it.
type Place = (usize, usize);

impl<'a> Records<'a> {
    pub fn new(groups: &'a [PlayedGroup]) -> Self {
        Self(groups)
    }

    /// What the alerts of a name depend on.
    pub fn of_alert(&self, name: &str) -> Result<Chain> {
        self.of(self.places().filter(|place| self.rule(*place).alert.as_deref() == Some(name)))
    }

    /// What a query depends on.
    pub fn of_query(&self, query: &str) -> Result<Chain> {
        self.of(self.read_by(&speed_up::parse(query)?).into_iter())
    }

    fn of(&self, places: impl Iterator<Item = Place>) -> Result<Chain> {
        let mut walk = Walk::default();
        for place in places {
            let whole = self.walk(place, &mut walk)?;
            walk.chain.own = walk.chain.own.max(self.0[place.0].interval);
            walk.chain.whole = walk.chain.whole.max(whole);
        }
        Ok(walk.chain)
    }

    /// Returns how long a sample may take until the rule there has used it, through others or not.
    fn walk(&self, place: Place, walk: &mut Walk) -> Result<Duration> {
        if let Some(delay) = walk.delays.get(&place) {
            return Ok(*delay);
        }
        let interval = self.0[place.0].interval;
        walk.chain.groups.insert(place.0);
        // Rules that read each other in a circle come here again.
        walk.delays.insert(place, interval);
        let mut longest = Duration::ZERO;
        for read in self.read_by(&self.rule(place).parse()?) {
            let mut delay = self.walk(read, walk)?;
            if read.0 == place.0 {
                // The rules of a group are evaluated one after the other.
                delay = delay.saturating_sub(interval);
            } else {
                walk.chain.through.insert((self.rule(read).name().to_owned(), read.0));
            }
            longest = longest.max(delay);
        }
        walk.delays.insert(place, interval + longest);
        Ok(interval + longest)
    }

    /// The rules whose results a query may find.
    fn read_by(&self, query: &Expr) -> Vec<Place> {
        let selectors: Vec<_> = promql::selectors(query).collect();
        let is_read = |place: &Place| selectors.iter().any(|selector| finds(selector, self.rule(*place)));
        self.places().filter(is_read).collect()
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let groups = self.0.iter().enumerate();
        groups.flat_map(|(group, PlayedGroup { rules, .. })| (0..rules.len()).map(move |rule| (group, rule)))
    }

    fn rule(&self, (group, rule): Place) -> &Rule {
        &self.0[group].rules[rule]
    }
}

/// Whether a selector may find what a rule writes; one by labels alone may.
fn finds(selector: &VectorSelector, rule: &Rule) -> bool {
    let Matchers { matchers, or_matchers } = &selector.matchers;
    let mut all = matchers.iter().chain(or_matchers.iter().flatten());
    if selector.name.is_none() && all.all(|matcher| matcher.name != "__name__") {
        return true;
    }
    match (&rule.record, &rule.alert) {
        (Some(metric), _) => may_select(selector, metric),
        (None, Some(alert)) => {
            let mut of_name = promql::matchers(selector).filter(|matcher| matcher.name == "alertname");
            may_select(selector, "ALERTS") && of_name.all(|matcher| matcher.is_match(alert))
        }
        (None, None) => false,
    }
}
