//! What a person sees of `lab`, held against a reviewed snapshot. What differs from run to run, and from machine to
//! machine, is replaced here and nowhere else.

use std::ffi::OsString;
use std::fmt::Write as _;

use anyhow::Result;
use insta::Settings;

use crate::lab::Lab;
use crate::running::Ended;

impl Lab {
    /// Runs `lab` with these words, and then these parts, and gives what it showed and how it ended.
    pub fn transcript(&self, words: &[&str], parts: &[OsString]) -> Result<String> {
        let Ended { code, stdout, stderr } = self.run(words, parts)?;
        let mut shown = String::from("$ lab");
        for word in words.iter().map(OsString::from).chain(parts.iter().cloned()) {
            write!(shown, " {}", word.to_string_lossy())?;
        }
        for (stream, text) in [("stdout", stdout), ("stderr", stderr)] {
            if !text.is_empty() {
                write!(shown, "\n----- {stream}\n{}", text.trim_end())?;
            }
        }
        writeln!(shown, "\n----- exit code {code}")?;
        Ok(shown)
    }

    /// Fails unless this text is that of the snapshot.
    pub fn assert_snapshot(&self, name: &str, text: &str) {
        let mut settings = Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        for (place, shown) in self.places() {
            settings.add_filter(&regex::escape(&place.to_string_lossy()), shown);
        }
        for (varies, shown) in VARIES {
            settings.add_filter(varies, *shown);
        }
        settings.bind(|| insta::assert_snapshot!(name, text));
    }
}

/// What varies, and what the snapshots show instead; the later ones see what the earlier ones left.
const VARIES: &[(&str, &str)] = &[
    // On a slow machine, or where others have the usual ports.
    (r"(?m)^\.\.\.  .* s so far.*\n", ""),
    (r"(?m)^ +\w+: port \d+ is in use; using another\n", ""),
    (r" +\d+\.\d s\b", " [TIME]"),
    (r"(after|within) \d+ s\b", "$1 [TIME]"),
    (r"127\.0\.0\.1:\d{4,5}\b", "127.0.0.1:[PORT]"),
    (r"\b(runs|evidence)/[0-9a-f]+-[0-9a-f]+", "$1/[RUN]"),
    (r"\brun [0-9a-f]+-[0-9a-f]+", "run [RUN]"),
    (r"\bprocess \d+", "process [PID]"),
    (r"linux[_-](amd64|arm64)\b", "[PLATFORM]"),
    (r"(find Prometheus \[TIME\]  )[^,]+", "$1[VERSION]"),
    (r"/[\d.]+/grafana_[\d.]+_\d+_", "/[VERSION]/grafana_[VERSION]_[BUILD]_"),
    (r"/download/v[\d.]+\d", "/download/v[VERSION]"),
    (r"(?m)^lab \d.*$", "lab [VERSION]"),
    // What other tests hold, and what grows: queries of the dashboard, rules.
    (r"(?m)^       (panel|variable|annotation) .*(\n       (panel|variable|annotation) .*)*$", "       [PANELS]"),
    (r"all \d+ queries", "all [N] queries"),
    (r"\d+ rules loaded", "[N] rules loaded"),
    (r"\d+ selectors of \d+ rules found; \d+ excused", "[N] selectors of [N] rules found; [N] excused"),
    (r"takes \d+\.\d+ s", "takes [TIME]"),
    (r"\d+ samples, \d+ bytes", "[N] samples, [N] bytes"),
    // The logs of real programs.
    (r"(?m)^(  (\w+ )?\| )(ts|time)=.*(\n  (\w+ )?\| (ts|time)=.*)*$", "$1[LOG]"),
];
