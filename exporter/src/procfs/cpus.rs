//! `/sys/devices/system/cpu/online`: the CPUs that run, as ranges.

use super::error::ReadErrorKind;
use super::file::ProcFile;
use super::number::is_digits;

/// How many CPUs the node runs on. A container sees them all, whatever its share of them is.
///
/// `/proc/stat` has them too, but on a node with many CPUs it is long, and slow for the kernel to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnlineCpus(pub u32);

impl ProcFile for OnlineCpus {
    /// `sys` lies beside `proc`, in a tree of files as on a machine.
    const PATH: &'static str = "../sys/devices/system/cpu/online";

    fn parse(text: &str) -> Result<Self, ReadErrorKind> {
        let text = text.trim_end_matches('\n');
        if text.is_empty() {
            return Err(ReadErrorKind::Empty);
        }
        let count = text.split(',').try_fold(0_u32, |sum, range| sum.checked_add(length(range)?));
        count.map(Self).ok_or(ReadErrorKind::InvalidCpuList)
    }
}

/// The length of `4-7`, or of `4` alone.
fn length(range: &str) -> Option<u32> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    // Rust's parser takes a sign, which the kernel never writes.
    let number = |text: &str| is_digits(text).then(|| text.parse::<u32>().ok())?;
    number(last)?.checked_sub(number(first)?)?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted() {
        for (text, count) in [("0\n", 1), ("0-63\n", 64), ("0-3,8-11", 8), ("0,2,4-5\n", 4)] {
            assert_eq!(OnlineCpus::parse(text), Ok(OnlineCpus(count)), "{text:?}");
        }
    }

    #[test]
    fn what_the_kernel_never_writes_is_refused() {
        for text in ["-", "0-", "3-0", "0--3", "+1", "0 1", "0,", "a", "0-4294967295", "4294967296", "0\n1\n"] {
            assert_eq!(OnlineCpus::parse(text), Err(ReadErrorKind::InvalidCpuList), "{text:?}");
        }
        assert_eq!(OnlineCpus::parse("\n"), Err(ReadErrorKind::Empty));
    }
}
