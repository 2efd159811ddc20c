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

/// A name for the group of a file, of which every evaluation is at a multiple of the interval, to the millisecond.
pub fn name_without_offset(layout: Layout, file: &str, interval: Duration) -> String {
    let names = (0..u32::MAX).map(|number| format!("live-{number}"));
    let is_on_time = |name: &String| layout.offset(file, name, interval) < Duration::from_millis(1);
    names.into_iter().find(is_on_time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_offset_in_its_layout() {
        let interval = Duration::from_millis(240);
        for layout in [Layout::Lengths, Layout::Ends] {
            let name = name_without_offset(layout, "rules.yml", interval);
            assert!(layout.offset("rules.yml", &name, interval) < Duration::from_millis(1));
            assert!(layout.other().offset("rules.yml", &name, interval) >= Duration::from_millis(1));
        }
    }
}
