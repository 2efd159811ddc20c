//! When each group of rules is evaluated in a play: at its offset, and then every interval.

use std::collections::BTreeSet;
use std::time::Duration;

use super::chain::Chain;
use super::plan::{Mode, Plan};

/// At how many offsets each group is played in real mode: as many as there are masks.
pub const OFFSETS: usize = 4;

/// When the groups are evaluated.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub speed: u32,
    groups: Vec<Times>,
}

/// When a group is evaluated, since the start of the play.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// The offset in the time of the test.
    shown: Duration,
    /// The offset in the time of the clock.
    offset: Duration,
    /// The interval in the time of the clock.
    interval: Duration,
}

impl Schedule {
    /// The schedules of all plays of a test.
    ///
    /// In real mode every group is evaluated in each quarter of its interval once, and of two groups that read each other
    /// each comes first in half of the plays. The last fifth of the interval is kept free to load the rules.
    pub fn of(plan: &Plan<'_>, speed: u32) -> Vec<Self> {
        if plan.mode == Mode::Aligned {
            let groups = plan.groups.iter().map(|group| Times::new(group.interval, Duration::ZERO, speed));
            return vec![Self { speed, groups: groups.collect() }];
        }
        let linked = plan.linked();
        let bits = bits(linked.len());
        let of_play = |play| {
            let slots = (0..plan.groups.len()).map(|group| {
                let place = linked.iter().position(|other| *other == group).unwrap_or_default();
                u32::try_from(place).unwrap_or_default() ^ mask(play, bits)
            });
            let groups = plan.groups.iter().zip(slots).map(|(group, slot)| {
                let shown = group.interval * (4 * slot) / (5 << bits);
                Times::new(group.interval, shown, speed)
            });
            Self { speed, groups: groups.collect() }
        };
        (0..OFFSETS).map(of_play).collect()
    }

    /// The evaluations of a group until a time.
    pub fn until(&self, group: usize, end: Duration) -> impl Iterator<Item = Duration> {
        let Times { offset, interval, .. } = self.groups[group];
        (0..).map(move |number| offset + interval * number).take_while(move |time| *time <= end)
    }

    /// The newest evaluation of a group at a time.
    pub fn last(&self, group: usize, time: Duration) -> Option<Duration> {
        let Times { offset, interval, .. } = self.groups[group];
        let number = time.checked_sub(offset)?.as_nanos() / interval.as_nanos();
        Some(offset + interval * u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// The times that decide an expectation at a time of the test: then, and whenever what it depends on is evaluated until it
    /// must be met.
    pub fn decisive(&self, chain: &Chain, at: Duration) -> BTreeSet<Duration> {
        let [from, end] = [at, at + chain.whole].map(|time| time / self.speed);
        let later = chain.groups.iter().flat_map(|group| self.until(*group, end));
        later.filter(|time| (from..end).contains(time)).chain([from]).collect()
    }

    /// When a group is first evaluated.
    pub fn first(&self, group: usize) -> Duration {
        self.groups[group].offset
    }

    /// When every group was evaluated once.
    pub fn begun(&self) -> Duration {
        self.groups.iter().map(|times| times.offset).max().unwrap_or_default()
    }

    /// How long before the start the rules may be loaded, so that nothing is evaluated before.
    pub fn lead(&self) -> Duration {
        self.groups.iter().map(|times| times.interval.saturating_sub(times.offset)).min().unwrap_or_default()
    }

    /// The offsets of some groups, in the time of the test.
    pub fn offsets(&self, groups: &BTreeSet<usize>) -> Vec<Duration> {
        groups.iter().map(|group| self.groups[*group].shown).collect()
    }

    /// The same in words.
    pub fn shown(&self, groups: &BTreeSet<usize>, plan: &Plan<'_>) -> String {
        let shown = |group: &usize| {
            let offset = humantime::format_duration(self.groups[*group].shown);
            if groups.len() == 1 { offset.to_string() } else { format!("{} {offset}", plan.groups[*group].name) }
        };
        groups.iter().map(shown).collect::<Vec<_>>().join(" with ")
    }
}

impl Times {
    fn new(interval: Duration, shown: Duration, speed: u32) -> Self {
        let offset = Duration::from_millis(u64::try_from((shown / speed).as_millis()).unwrap_or_default());
        Self { shown, offset, interval: interval / speed }
    }
}

/// How many bits number so many groups that read each other; two, for the quarters, at least.
pub fn bits(groups: usize) -> u32 {
    groups.next_power_of_two().ilog2().max(2)
}

/// What a play adds to the number of each group. Its highest bits are the quarter, and the others repeat them, so that the
/// order of any two groups differs between the first play and the last.
fn mask(play: usize, bits: u32) -> u32 {
    let quarter = [0b00, 0b01, 0b10, 0b11][play % OFFSETS];
    (0..bits).fold(0, |mask, bit| mask << 1 | (quarter >> (1 - bit % 2)) & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_evaluated_in_every_quarter_and_each_pair_in_both_orders() {
        for bits in 2..6 {
            let all = 1_u32 << bits;
            for group in 0..all {
                let quarters: BTreeSet<u32> = (0..OFFSETS).map(|play| (group ^ mask(play, bits)) * 4 / all).collect();
                assert_eq!(quarters.len(), 4, "{group} of {all}");
                for other in 0..group {
                    let first = |play: &usize| (group ^ mask(*play, bits)) < (other ^ mask(*play, bits));
                    assert_eq!((0..OFFSETS).filter(first).count(), 2, "{group} and {other} of {all}");
                }
            }
        }
    }
}
