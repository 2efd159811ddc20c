//! `/proc/uptime`: the seconds since boot, and the idle time summed over all cores.

use super::error::ReadErrorKind;
use super::file::ProcFile;
use super::number;

/// How long the node has been up. The kernel counts the time spent suspended too.
#[derive(Clone, Debug, PartialEq)]
pub struct Uptime {
    /// In seconds.
    pub seconds: f64,
    /// The same, exactly as the kernel wrote it: `1761.70` keeps its last zero.
    pub written: String,
}

impl ProcFile for Uptime {
    const PATH: &'static str = "uptime";

    fn parse(text: &str) -> Result<Self, ReadErrorKind> {
        let field = text.lines().next().and_then(|line| line.split_ascii_whitespace().next());
        let seconds = number::parse(field, "the uptime")?;
        Ok(Self { seconds, written: field.unwrap_or_default().to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_the_uptime_and_the_rest_is_ignored() {
        for text in ["350735.40 234388.90\n", "350735.40 234388.90", "350735.40", "350735.40 more to come\nand more\n"]
        {
            let uptime = Uptime::parse(text).unwrap();
            assert_eq!(uptime, Uptime { seconds: 350_735.4, written: "350735.40".into() }, "{text:?}");
        }
    }

    #[test]
    fn a_first_line_without_a_number_is_bad() {
        for text in ["", "\n", " \n", "\n350735.40\n"] {
            assert_eq!(Uptime::parse(text), Err(ReadErrorKind::Missing("the uptime")), "{text:?}");
        }
        for text in ["up 3 days\n", "350735. 1.0\n", "-1.00 1.00\n", "350735.40s\n", "350735.40\0 1\n"] {
            assert_eq!(Uptime::parse(text), Err(ReadErrorKind::NotANumber("the uptime")), "{text:?}");
        }
    }
}
