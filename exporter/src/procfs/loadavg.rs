//! `/proc/loadavg`: three load averages, running and existing threads, the last process id.

use super::error::ReadErrorKind;
use super::file::ProcFile;
use super::number;

/// How many threads were running, waiting to run, or in uninterruptible sleep, on average over three windows.
///
/// They stay 64-bit: through a 32-bit float, 2.63 would become 2.630000114440918.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadAverage {
    /// Over one minute.
    pub one: f64,
    /// Over five minutes.
    pub five: f64,
    /// Over fifteen minutes.
    pub fifteen: f64,
}

impl LoadAverage {
    /// The three windows with their names, shortest first.
    #[must_use]
    pub fn windows(&self) -> [(&'static str, f64); 3] {
        [("1m", self.one), ("5m", self.five), ("15m", self.fifteen)]
    }
}

impl ProcFile for LoadAverage {
    const PATH: &'static str = "loadavg";

    fn parse(text: &str) -> Result<Self, ReadErrorKind> {
        let mut fields = text.lines().next().unwrap_or_default().split_ascii_whitespace();
        let load = Self {
            one: number::parse(fields.next(), "the 1m load")?,
            five: number::parse(fields.next(), "the 5m load")?,
            fifteen: number::parse(fields.next(), "the 15m load")?,
        };
        // A sandbox such as gVisor writes zeros for what it does not know.
        if fields.next() == Some("0/0") { Err(ReadErrorKind::ZeroThreads) } else { Ok(load) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_are_the_load_and_the_rest_is_ignored() {
        for text in ["0.57 0.80 2.63 2/816 12345\n", "0.57 0.80 2.63", "0.57 0.80 2.63 x\n-1 NaN\n"] {
            let load = LoadAverage::parse(text).unwrap();
            assert_eq!(load, LoadAverage { one: 0.57, five: 0.8, fifteen: 2.63 }, "{text:?}");
            assert_eq!(load.windows(), [("1m", 0.57), ("5m", 0.8), ("15m", 2.63)]);
        }
    }

    #[test]
    fn the_load_of_no_threads_is_bad() {
        for text in ["0.00 0.00 0.00 0/0 0\n", "1.00 2.00 3.00 0/0"] {
            assert_eq!(LoadAverage::parse(text), Err(ReadErrorKind::ZeroThreads), "{text:?}");
        }
        for text in ["0.00 0.00 0.00 0/1 1\n", "0.00 0.00 0.00 0/00 0\n", "0.00 0.00 0.00 0 0/0\n"] {
            assert!(LoadAverage::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn each_missing_number_is_named() {
        assert_eq!(LoadAverage::parse(""), Err(ReadErrorKind::Missing("the 1m load")));
        assert_eq!(LoadAverage::parse("0.57\n0.80 0.77\n"), Err(ReadErrorKind::Missing("the 5m load")));
        assert_eq!(LoadAverage::parse("0.57 0.80\n"), Err(ReadErrorKind::Missing("the 15m load")));
    }

    #[test]
    fn each_bad_number_is_named() {
        assert_eq!(LoadAverage::parse("NaN 0.80 0.77 1/2 3\n"), Err(ReadErrorKind::NotANumber("the 1m load")));
        assert_eq!(LoadAverage::parse("0.57 inf 0.77 1/2 3\n"), Err(ReadErrorKind::NotANumber("the 5m load")));
        assert_eq!(LoadAverage::parse("0.57 0.80 0. 1/2 3\n"), Err(ReadErrorKind::NotANumber("the 15m load")));
        assert_eq!(LoadAverage::parse("0.57 0.80 2/816 12345\n"), Err(ReadErrorKind::NotANumber("the 15m load")));
    }
}
