//! This process: `/proc/self/stat`, `/proc/self/status`, `/proc/self/fd`.

use std::io;

use super::error::ReadErrorKind;
use super::file::ProcFile;

/// The fields of `/proc/self/stat` that become `process_*`, in the kernel's own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// Time on a CPU in user and kernel mode, in clock ticks.
    pub cpu_ticks: u64,
    /// How many threads it has.
    pub threads: u64,
    /// When it started, in clock ticks after boot.
    pub start_ticks: u64,
    /// Its address space, in bytes.
    pub virtual_bytes: u64,
    /// Resident set, in pages.
    pub resident_pages: u64,
}

impl ProcFile for ProcessStat {
    const PATH: &'static str = "self/stat";

    fn parse(text: &str) -> Result<Self, ReadErrorKind> {
        // The second field is the program's name in parentheses, and may itself contain spaces and parentheses.
        let (_, fields) = text.rsplit_once(')').ok_or(ReadErrorKind::Missing("the command's name"))?;
        // Counted from 1 in proc(5); the first after the name is field 3.
        let (mut fields, mut next) = (fields.trim().split(' '), 3);
        let mut field = |number: usize, name| {
            let text = fields.nth(number - next).ok_or(ReadErrorKind::Missing(name))?;
            next = number + 1;
            text.parse::<u64>().map_err(|_| ReadErrorKind::NotANumber(name))
        };
        Ok(Self {
            cpu_ticks: field(14, "utime")?.saturating_add(field(15, "stime")?),
            threads: field(20, "num_threads")?,
            start_ticks: field(22, "starttime")?,
            virtual_bytes: field(23, "vsize")?,
            resident_pages: field(24, "rss")?,
        })
    }
}

/// Returns whether this process ignores SIGINT, as in a shell's background job.
#[must_use]
pub fn ignores_interrupts() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    // Bit 0 is signal 1, and SIGINT is signal 2.
    ignored.is_some_and(|signals| signals & 0b10 != 0)
}

/// Returns how many file descriptors this process has open.
///
/// # Errors
///
/// When `/proc/self/fd` cannot be read.
pub fn open_fds() -> io::Result<u64> {
    const FOLDER: &str = "/proc/self/fd";
    // Since Linux 6.2 the directory's size is their number, which saves the kernel from making an entry for each.
    match u64::try_from(rustix::fs::stat(FOLDER)?.st_size) {
        Ok(open) if open > 0 => Ok(open),
        // Minus the descriptor of the listing itself.
        _ => Ok((std::fs::read_dir(FOLDER)?.count() as u64).saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::ProcRoot;

    const LINE: &str = "731 (mini) node) S 1 731 731 0 -1 4194560 95 0 0 0 7 5 0 0 20 0 1 0 8123 3284992 512 \
                        18446744073709551615 1 1 0 0 0 0 0 4096 16386 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn the_fields_are_found_behind_a_name_with_a_parenthesis() {
        let stat = ProcessStat::parse(LINE).unwrap();
        let expected =
            ProcessStat { cpu_ticks: 12, threads: 1, start_ticks: 8123, virtual_bytes: 3_284_992, resident_pages: 512 };
        assert_eq!(stat, expected);
    }

    #[test]
    fn a_short_or_odd_line_is_bad() {
        assert_eq!(ProcessStat::parse(""), Err(ReadErrorKind::Missing("the command's name")));
        assert_eq!(ProcessStat::parse("1 (x) S 1 2 3"), Err(ReadErrorKind::Missing("utime")));
        assert_eq!(ProcessStat::parse(&LINE.replace(" 512 ", " -1 ")), Err(ReadErrorKind::NotANumber("rss")));
    }

    #[test]
    fn this_process_can_be_read() {
        let root = ProcRoot::default();
        assert!(root.read::<ProcessStat>().unwrap().resident_pages > 0);
    }

    #[test]
    fn open_descriptors_are_counted() {
        let before = open_fds().unwrap();
        // Other tests open and close files meanwhile.
        let many: Vec<_> = (0..500).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(open_fds().unwrap().abs_diff(before + 500) < 200, "{before}");
        drop(many);
    }
}
