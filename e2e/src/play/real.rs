//! What plays at several offsets say of a test: which expectations are met at each of them, and which at some or none.
//!
//! An expectation is met in a play if it is within an interval of the group from which it reads, and late if it takes an
//! interval more for each group that this one reads. It is decided from what is stored: labels, states and values.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::chain::Chain;
use super::file::{AlertTest, QueryTest};
use super::judge::{Judge, are_same, expected_samples, listed, returned};
use super::notation::written;
use super::plan::Plan;
use super::run::{Answer, Seen};
use super::schedule::Schedule;
use crate::client::prometheus::Labels;

/// How many of the results that an expectation reads from other groups are named.
const NAMED: usize = 3;

/// What is wrong with an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is met at no offset.
    Never,
    /// It is met at some offsets, and not at others.
    Offset,
    /// It is met at every offset, and at some of them an interval later, because of another group.
    Order,
    /// An alert resolves and fires again at some offsets, and fires throughout at others.
    Flaps,
    /// A rule could not be evaluated.
    Error,
}

/// What promtool does not see.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub kind: Kind,
    /// The offsets of the groups at which it is met, at which it is late, and at which it is not met.
    pub met: Vec<String>,
    pub late: Vec<String>,
    pub not_met: Vec<String>,
    /// In words.
    pub text: String,
}

/// A play, and when its groups were evaluated.
pub type OfPlay = (Schedule, Seen);

/// What became of an expectation in a play.
#[derive(PartialEq)]
enum Outcome {
    Met,
    Late,
    /// With what was there instead.
    NotMet(String),
}

impl Kind {
    /// Whether the test fails for it.
    pub fn fails(self) -> bool {
        self != Self::Order
    }
}

/// Compares plays with their test.
pub fn findings(plan: &Plan<'_>, plays: &[OfPlay]) -> Vec<Finding> {
    let errors: Vec<Finding> = errors(plan, plays);
    if !errors.is_empty() {
        return errors;
    }
    let alerts = plan.test.alerts.iter().zip(&plan.chains.alerts);
    let alerts = alerts.filter_map(|(test, chain)| {
        let what = format!("{} at {}", test.name, humantime::format_duration(test.at));
        let expected = listed(test.expected.iter().map(|(labels, _)| written(labels)));
        let outcomes: Vec<_> = plays.iter().map(|play| alert(plan, test, chain, play)).collect();
        finding(plan, plays, chain, &outcomes, &what, &format!("expected {expected}; firing"))
    });
    let queries = plan.test.queries.iter().zip(&plan.chains.queries).enumerate();
    let queries = queries.filter_map(|(place, (test, chain))| {
        let what = format!("`{}` at {}", test.expr, humantime::format_duration(test.at));
        let outcomes: Vec<_> =
            plays.iter().map(|(schedule, seen)| query(test, chain, schedule, &seen.answers[place])).collect();
        finding(plan, plays, chain, &outcomes, &what, &format!("expected {}; returned", expected_samples(test)))
    });
    alerts.chain(queries).chain(flapping(plan, plays)).collect()
}

/// The rules that could not be evaluated, each with the plays in which.
fn errors(plan: &Plan<'_>, plays: &[OfPlay]) -> Vec<Finding> {
    let all: BTreeSet<&String> = plays.iter().flat_map(|(_, seen)| &seen.failures).collect();
    let of = |error: &String| {
        let (not_met, met): (Vec<_>, Vec<_>) = plays.iter().partition(|(_, seen)| seen.failures.contains(error));
        let all = (0..plan.groups.len()).collect();
        let [met, not_met] = [met, not_met].map(|plays| offsets(plan, &all, plays));
        let only = if met.is_empty() { String::new() } else { format!(" only at {}", not_met.join(", ")) };
        Finding { kind: Kind::Error, met, late: Vec::new(), text: format!("{error}{only}"), not_met }
    };
    all.into_iter().map(of).collect()
}

/// What is to say of an expectation; nothing if it is met in every play.
fn finding(
    plan: &Plan<'_>,
    plays: &[OfPlay],
    chain: &Chain,
    outcomes: &[Outcome],
    what: &str,
    expected: &str,
) -> Option<Finding> {
    let mut plays: Vec<(&OfPlay, &Outcome)> = plays.iter().zip(outcomes).collect();
    plays.sort_by_key(|((schedule, _), _)| schedule.offsets(&chain.groups));
    let at = |is: fn(&Outcome) -> bool| {
        let found = plays.iter().filter(|(_, outcome)| is(outcome)).map(|(play, _)| *play);
        offsets(plan, &chain.groups, found)
    };
    let met = at(|outcome| *outcome == Outcome::Met);
    let late = at(|outcome| *outcome == Outcome::Late);
    let not_met = at(|outcome| matches!(outcome, Outcome::NotMet(_)));
    let instead =
        plays.iter().find_map(|(_, outcome)| if let Outcome::NotMet(instead) = outcome { Some(instead) } else { None });
    let within = match chain.whole {
        Duration::ZERO => String::new(),
        whole => format!(" within {}", humantime::format_duration(whole)),
    };
    let (kind, text) = match instead {
        None if late.is_empty() => return None,
        None => {
            let text = format!(
                "more than {} late at offsets {}: it reads {}",
                humantime::format_duration(chain.own),
                late.join(", "),
                read(plan, chain)
            );
            (Kind::Order, text)
        }
        // What depends on no rule is the same in every play.
        Some(instead) if chain.groups.is_empty() => (Kind::Never, format!("{expected}: {instead}")),
        Some(instead) if met.is_empty() && late.is_empty() => {
            (Kind::Never, format!("not met{within} at any offset: {expected} at offset {}: {instead}", not_met[0]))
        }
        Some(instead) => {
            let met: Vec<_> = met.iter().chain(&late).map(String::as_str).collect();
            let text = format!(
                "met{within} at offsets {}, not at {}: {expected} at offset {}: {instead}",
                met.join(", "),
                not_met.join(", "),
                not_met[0]
            );
            (Kind::Offset, text)
        }
    };
    Some(Finding { kind, met, late, not_met, text: format!("{what}: {text}") })
}

/// What is read from other groups, the first of it by name.
fn read(plan: &Plan<'_>, chain: &Chain) -> String {
    let named = chain.through.iter().take(NAMED);
    let named = named.map(|(name, group)| {
        let group = &plan.groups[*group];
        let interval = humantime::format_duration(group.interval);
        format!("`{name}` of the group {}, evaluated by itself every {interval}", group.name)
    });
    let more = chain.through.len().saturating_sub(NAMED);
    listed(named.chain((more > 0).then(|| format!("{more} more"))))
}

/// The offsets of some groups in some plays, the lowest first.
fn offsets<'a>(plan: &Plan<'_>, groups: &BTreeSet<usize>, plays: impl IntoIterator<Item = &'a OfPlay>) -> Vec<String> {
    let mut schedules: Vec<&Schedule> = plays.into_iter().map(|(schedule, _)| schedule).collect();
    schedules.sort_by_key(|schedule| schedule.offsets(groups));
    schedules.into_iter().map(|schedule| schedule.shown(groups, plan)).collect()
}

fn alert(plan: &Plan<'_>, test: &AlertTest, chain: &Chain, (schedule, seen): &OfPlay) -> Outcome {
    let mut judge = Judge { fuzzy: false, tolerant: true, rounded: false };
    let mut is_met = |time: &Duration| {
        are_same(&test.expected, &firing(plan, &test.name, *time, schedule, seen), |(labels, _), other| {
            judge.texts(labels, other)
        })
    };
    let late = late_from(chain, test.at, schedule);
    match schedule.decisive(chain, test.at).into_iter().find(|time| is_met(time)) {
        Some(time) if time < late => Outcome::Met,
        Some(_) => Outcome::Late,
        None => {
            let last = schedule.decisive(chain, test.at).last().copied().unwrap_or_default();
            Outcome::NotMet(listed(firing(plan, &test.name, last, schedule, seen).into_iter().map(written)))
        }
    }
}

/// From when on it is late to meet an expectation.
fn late_from(chain: &Chain, at: Duration, schedule: &Schedule) -> Duration {
    if chain.own == chain.whole { Duration::MAX } else { (at + chain.own) / schedule.speed }
}

/// The alerts of a name that fire at a time, by the newest evaluations of their groups.
fn firing<'s>(plan: &Plan<'_>, name: &str, time: Duration, schedule: &Schedule, seen: &'s Seen) -> Vec<&'s Labels> {
    let newest = groups_of(plan, name)
        .filter_map(|group| Some(stored(plan, group, schedule.last(group, time)?, schedule, seen)));
    let newest: BTreeSet<Duration> = newest.collect();
    let alerts = seen.firing.iter().filter(|(labels, _)| labels.get("alertname").is_some_and(|other| other == name));
    alerts.filter(|(_, times)| !newest.is_disjoint(times)).map(|(labels, _)| labels).collect()
}

fn groups_of(plan: &Plan<'_>, alert: &str) -> impl Iterator<Item = usize> {
    let has = move |group: &usize| plan.groups[*group].rules.iter().any(|rule| rule.alert.as_deref() == Some(alert));
    (0..plan.groups.len()).filter(has)
}

/// The time of the samples that an evaluation writes.
fn stored(plan: &Plan<'_>, group: usize, evaluation: Duration, schedule: &Schedule, seen: &Seen) -> Duration {
    (seen.start + evaluation).saturating_sub(plan.groups[group].query_offset / schedule.speed)
}

/// A recorded value slides from an evaluation to the next, so that of the test lies between two of them.
fn query(test: &QueryTest, chain: &Chain, schedule: &Schedule, answers: &[(Duration, Answer)]) -> Outcome {
    let late = late_from(chain, test.at, schedule);
    let early = answers.iter().take_while(|(time, _)| *time < late).map(|(_, answer)| answer);
    let all = answers.iter().map(|(_, answer)| answer);
    if is_between(test, &early.collect::<Vec<_>>()) {
        Outcome::Met
    } else if is_between(test, &all.collect::<Vec<_>>()) {
        Outcome::Late
    } else {
        let shown =
            answers.last().map(|(_, answer)| answer.as_ref().map_or_else(Clone::clone, |samples| returned(samples)));
        Outcome::NotMet(shown.unwrap_or_default())
    }
}

/// Whether one of these answers has the expected series, and their values lie among those of all answers.
fn is_between(test: &QueryTest, answers: &[&Answer]) -> bool {
    let mut judge = Judge { fuzzy: false, tolerant: true, rounded: false };
    let mut is_among = |labels: &Labels, value: f64| {
        let samples = answers.iter().copied().flatten().flatten().filter(|sample| sample.labels == *labels);
        let values: Vec<f64> = samples.map(|sample| sample.value).collect();
        let is_near = |is: fn(&f64, &f64) -> bool| values.iter().any(|other| is(other, &value));
        is_near(f64::le) && is_near(f64::ge) || values.iter().any(|other| judge.values(value, *other))
    };
    let has_series = |answer: &&Answer| {
        answer
            .as_ref()
            .is_ok_and(|samples| are_same(&test.expected, samples, |(labels, _), sample| *labels == sample.labels))
    };
    answers.iter().any(has_series) && test.expected.iter().all(|(labels, value)| is_among(labels, *value))
}

/// A time in which an alert does not fire, between two in which it does.
type Gap = (Duration, Duration);

/// The alerts of the test that resolve and fire again in some plays, and fire throughout in others.
fn flapping(plan: &Plan<'_>, plays: &[OfPlay]) -> Vec<Finding> {
    let names: BTreeSet<&String> = plan.test.alerts.iter().map(|test| &test.name).collect();
    let places = names.into_iter().flat_map(|name| groups_of(plan, name).map(move |group| (name, group)));
    let of_place = |(name, group): (&String, usize)| {
        let all = plays.iter().flat_map(|(_, seen)| &seen.firing).map(|(labels, _)| labels);
        let all: BTreeSet<&Labels> = all.filter(|labels| labels.get("alertname") == Some(name)).collect();
        all.into_iter().filter_map(|labels| flaps(plan, plays, group, labels)).collect::<Vec<_>>()
    };
    places.flat_map(of_place).collect()
}

fn flaps(plan: &Plan<'_>, plays: &[OfPlay], group: usize, labels: &Labels) -> Option<Finding> {
    let timelines: Vec<_> = plays.iter().map(|play| timeline(plan, group, labels, play)).collect();
    let tests = plan.test.alerts.iter().zip(&plan.chains.alerts);
    let whole =
        tests.filter(|(test, _)| labels.get("alertname") == Some(&test.name)).map(|(_, chain)| chain.whole).max()?;
    // It may resolve at another offset, too, but then within the same time as it may meet an expectation.
    let is_throughout = |timeline: &[(Duration, bool)], (from, until): Gap| {
        let mut between = timeline.iter().filter(|(time, _)| (from..=until).contains(time)).peekable();
        between.peek().is_some()
            && between.all(|(_, fires)| *fires)
            && gaps(timeline).iter().all(|gap| gap.1 + whole <= from || gap.0 >= until + whole)
    };
    let gap = timelines
        .iter()
        .flat_map(|timeline| gaps(timeline))
        .find(|gap| timelines.iter().any(|other| is_throughout(other, *gap)))?;
    let (met, not_met): (Vec<_>, Vec<_>) =
        plays.iter().zip(&timelines).partition(|(_, timeline)| is_throughout(timeline, gap));
    let groups = BTreeSet::from([group]);
    let [met, not_met] = [met, not_met].map(|plays| offsets(plan, &groups, plays.into_iter().map(|(play, _)| play)));
    let [from, until] = [gap.0, gap.1].map(humantime::format_duration);
    let text = format!(
        "{} flaps at offsets {}: it resolves after {from} and fires again at {until}; at {} it goes on firing",
        written(labels),
        not_met.join(", "),
        met.join(", ")
    );
    Some(Finding { kind: Kind::Flaps, met, late: Vec::new(), not_met, text })
}

/// Whether an alert fires at each evaluation of its group, in the time of the test.
fn timeline(plan: &Plan<'_>, group: usize, labels: &Labels, (schedule, seen): &OfPlay) -> Vec<(Duration, bool)> {
    let times = seen.firing.iter().find(|(other, _)| other == labels).map(|(_, times)| times);
    let fires = |time| times.is_some_and(|times| times.contains(&stored(plan, group, time, schedule, seen)));
    let evaluations = schedule.until(group, plan.end / schedule.speed);
    evaluations.map(|time| (time * schedule.speed, fires(time))).collect()
}

fn gaps(timeline: &[(Duration, bool)]) -> Vec<Gap> {
    let firing: Vec<usize> = (0..timeline.len()).filter(|place| timeline[*place].1).collect();
    let pairs = firing.windows(2).filter(|pair| pair[1] > pair[0] + 1);
    pairs.map(|pair| (timeline[pair[0]].0, timeline[pair[1]].0)).collect()
}
