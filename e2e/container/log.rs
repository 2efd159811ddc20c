//! What containers log, kept after their removal and shown when a trial fails.

use std::sync::{Arc, Mutex, PoisonError};

use testcontainers::core::logs::LogFrame;

/// How many lines of a failed trial are shown.
const LAST: usize = 40;

#[derive(Clone, Default)]
pub struct Log {
    text: Arc<Mutex<String>>,
}

impl Log {
    /// What testcontainers calls with each piece of a container's two streams.
    pub fn consumer(&self) -> impl Fn(&LogFrame) + Send + Sync + 'static {
        let text = Arc::clone(&self.text);
        move |frame: &LogFrame| {
            let (LogFrame::StdOut(bytes) | LogFrame::StdErr(bytes)) = frame;
            text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(bytes));
        }
    }

    /// The last lines.
    pub fn lines(&self) -> Vec<String> {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST)..].iter().map(ToString::to_string).collect()
    }

    pub fn clear(&self) {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
