//! The log: one line per event, to stderr, as logfmt or as JSON.
//!
//! A scrape never waits for the log. While stderr is not being read, lines are dropped, and an error says how many once
//! there is room again.

mod stderr;
mod throttle;

use std::str::FromStr;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;

use stderr::NonBlockingStderr;
pub use throttle::LogThrottle;
pub use tracing::level_filters::LevelFilter;

/// The two shapes of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `ts=… level=info message=… key=value`
    #[default]
    Logfmt,
    /// One JSON object, with the same fields at its top level.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err("expected logfmt or json"),
        }
    }
}

/// Sets up the process's log; events below `level` are dropped. A second call changes nothing.
pub fn init(level: LevelFilter, format: LogFormat) {
    // This fails only for a process that is out of file descriptors, which cannot listen either, and says so.
    let Ok(stderr) = NonBlockingStderr::open().map(Arc::new) else { return };
    let base = tracing_subscriber::registry().with(level);
    let _ = match format {
        LogFormat::Logfmt => {
            let layer = tracing_logfmt::builder().with_target(false).layer().with_writer(stderr);
            tracing::subscriber::set_global_default(base.with(layer))
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false);
            let layer = layer.with_current_span(false).with_span_list(false).with_writer(stderr);
            tracing::subscriber::set_global_default(base.with(layer))
        }
    };
}

/// Escapes control characters, so that a text from outside cannot forge a second line.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}
