//! Lines and tables. Colour follows `NO_COLOR` and `CLICOLOR_FORCE`, and repeats what the words say. A reader that closes
//! the pipe, as `head` does, is no error.

use std::fmt;
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tabwriter::TabWriter;

/// Standard output does not take what is written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct OutError(#[from] io::Error);

impl OutError {
    /// Whether the reader closed the pipe.
    pub fn reader_has_gone(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// The word of four letters that begins a line about a step or a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A step is done.
    Ok,
    /// A check passed.
    Pass,
    /// A step or a check failed.
    Fail,
    /// Something was not run, although it was not excluded.
    Skip,
    /// A check was excluded on request.
    Omit,
    /// Something is wrong that stops nothing.
    Warn,
    /// A step was interrupted.
    Stop,
    /// A step is still under way.
    Busy,
    /// A remark.
    Note,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, color) = match self {
            Self::Ok => ("ok  ", Some(AnsiColor::Green)),
            Self::Pass => ("pass", Some(AnsiColor::Green)),
            Self::Fail => ("FAIL", Some(AnsiColor::Red)),
            Self::Skip => ("skip", Some(AnsiColor::Yellow)),
            Self::Omit => ("omit", None),
            Self::Warn => ("warn", Some(AnsiColor::Yellow)),
            Self::Stop => ("stop", Some(AnsiColor::Yellow)),
            Self::Busy => ("... ", None),
            Self::Note => ("    ", None),
        };
        let style = color.map_or(Style::new(), |color| color.on_default().bold());
        write!(f, "{style}{word}{style:#}")
    }
}

/// A number of things, by the name of one and the name of several.
pub fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// A text of another program without what would change how a terminal shows it: escape sequences, and control characters
/// other than line feed and tab.
pub fn plain(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    text.chars().filter(|c| !c.is_control() || ['\n', '\t'].contains(c)).collect()
}

/// As many names as a line holds; `none` without any.
pub fn names(names: &[impl AsRef<str>]) -> String {
    if names.is_empty() { "none".to_owned() } else { first(10, names) }
}

/// The first of some names, and how many more there are.
pub fn first(count: usize, names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(count).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(count) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The name that is most like another one, if any is.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let like = names.into_iter().map(|other| (strsim::normalized_levenshtein(name, other), other));
    let (likeness, other) = like.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness >= 0.6).then_some(other)
}

/// Writes a line to standard output.
pub fn line(text: &str) -> Result<(), OutError> {
    Ok(writeln!(anstream::stdout().lock(), "{text}")?)
}

/// Writes rows to standard output, their columns aligned.
pub fn table(rows: &[Vec<String>]) -> Result<(), OutError> {
    Ok(write!(anstream::stdout().lock(), "{}", aligned(rows)?)?)
}

/// Rows whose columns are aligned, a line each.
pub fn aligned(rows: &[Vec<String>]) -> Result<String, OutError> {
    let mut table = TabWriter::new(Vec::new()).padding(2);
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| plain(cell).replace(['\t', '\n'], " ")).collect();
        writeln!(table, "{}", cells.join("\t"))?;
    }
    let text = table.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Fails once the reader of standard output has closed the pipe, which otherwise only the next write would show.
pub fn check_reader() -> Result<(), OutError> {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let closed = poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::ERR);
    if closed { Err(io::Error::from(io::ErrorKind::BrokenPipe).into()) } else { Ok(()) }
}

/// Writes a line to standard error, if anyone listens.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Writes the error that ends a command to standard error, as clap writes its own.
pub fn error(error: &dyn fmt::Display) {
    let style = AnsiColor::Red.on_default().bold();
    note(&format!("{style}error:{style:#} {error}"));
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn the_names_that_do_not_fit_are_counted() {
        assert_eq!(first(2, &["a", "b"]), "a, b");
        assert_eq!(first(2, &["a", "b", "c"]), "a, b and 1 more");
        assert_eq!(first(2, &[""; 0]), "");
    }
}
