//! Standard output for results, standard error for the rest; whoever reads either may go at any time, as `head` does,
//! and that is no reason to panic.

use std::io::{self, Write as _};

use tabwriter::TabWriter;

/// Standard output does not take what is written.
#[derive(Debug, thiserror::Error)]
#[error("standard output: {0}")]
pub struct OutError(#[from] io::Error);

impl OutError {
    /// Whether the reader has gone, which is its right: it has seen what it wanted.
    #[must_use]
    pub fn reader_has_gone(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Writes a line to standard output.
///
/// # Errors
///
/// It is closed or full.
pub fn line(text: &str) -> Result<(), OutError> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Writes rows to standard output, their columns aligned.
///
/// # Errors
///
/// It is closed or full.
pub fn table(rows: &[Vec<String>]) -> Result<(), OutError> {
    let mut table = TabWriter::new(io::stdout().lock()).padding(2);
    for row in rows {
        writeln!(table, "{}", row.join("\t"))?;
    }
    Ok(table.flush()?)
}

/// Writes a line to standard error, if anyone listens.
pub fn aside(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
