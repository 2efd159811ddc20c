//! When Prometheus evaluates a group: at multiples of its interval, plus an offset that is a hash of its file and name.

use std::time::Duration;

use twox_hash::XxHash64;

/// How a build of Prometheus lays out the labels that it hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each text after its length: the default of newer releases, and the build tag `stringlabels`.
    Lengths,
    /// Each text before a byte of 255.
    Ends,
}

impl Layout {
    pub fn other(self) -> Self {
        match self {
            Self::Lengths => Self::Ends,
            Self::Ends => Self::Lengths,
        }
    }

    /// The offset of a group.
    fn offset(self, file: &str, name: &str, interval: Duration) -> Duration {
        let mut bytes = Vec::new();
        for text in ["file", file, "name", name] {
            match self {
                // Longer ones have another form, and no group here needs one.
                Self::Lengths => bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX)),
                Self::Ends => {}
            }
            bytes.extend(text.as_bytes());
            if self == Self::Ends {
                bytes.push(u8::MAX);
            }
        }
        let hash = XxHash64::oneshot(0, &bytes);
        Duration::from_nanos(u64::try_from(u128::from(hash) % interval.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Names for the groups of a file, each of which is evaluated at its offset, to the millisecond.
pub fn names(layout: Layout, file: &str, groups: impl Iterator<Item = (Duration, Duration)>) -> Vec<String> {
    let name = |(place, (offset, interval)): (usize, (Duration, Duration))| {
        let mut names = (0..u32::MAX).map(|number| format!("live-{place}-{number}"));
        let is_on_time = |name: &String| layout.offset(file, name, interval).as_millis() == offset.as_millis();
        names.find(is_on_time).unwrap_or_default()
    };
    groups.enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_offset_in_its_layout() {
        let (interval, offset) = (Duration::from_millis(240), Duration::from_millis(48));
        for layout in [Layout::Lengths, Layout::Ends] {
            let names = names(layout, "rules.yml", [(Duration::ZERO, interval), (offset, interval)].into_iter());
            let offsets =
                |layout: Layout| names.iter().map(move |name| layout.offset("rules.yml", name, interval).as_millis());
            assert_eq!(offsets(layout).collect::<Vec<_>>(), [0, 48]);
            assert_ne!(offsets(layout.other()).collect::<Vec<_>>(), [0, 48]);
        }
    }
}
