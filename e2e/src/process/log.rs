//! The logs of others: logfmt as Prometheus and the exporter write it, klog as Kubernetes does, JSON lines; and of a
//! long log the few lines that help.

use std::path::Path;

use serde_json::Value;

use crate::terminal::out;

/// All of a log file; nothing where it cannot be read.
pub fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs_err::read(path).unwrap_or_default()).into_owned()
}

/// The last lines of a text.
pub fn last(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Lines with a bar before each, for below a message.
pub fn quoted(name: &str, text: &str) -> String {
    text.lines().map(|line| format!("  {name}| {}", out::plain(line))).collect::<Vec<_>>().join("\n")
}

/// The last eight lines, and before them the last four that report an error: the cause of a server's end often stands
/// long before the lines with which it shuts down.
pub fn key_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(8));
    let errors: Vec<&str> = before.iter().copied().filter(|line| Line(line).is(&["error", "fatal"])).collect();
    [&errors[errors.len().saturating_sub(4)..], last].concat().join("\n")
}

/// The last five warnings and errors, each message once.
pub fn complaints(log: &str) -> Vec<String> {
    newest(
        log.lines().filter(|line| Line(line).is(&["warn", "warning", "error", "fatal"]) || line.contains("panic")),
        5,
    )
}

/// The last lines, each message once: some programs repeat theirs every second.
pub fn newest<'l>(lines: impl DoubleEndedIterator<Item = &'l str>, count: usize) -> Vec<String> {
    let mut kept: Vec<&str> = Vec::new();
    for line in lines.rev() {
        if kept.len() < count && !kept.iter().any(|seen| Line(seen).message() == Line(line).message()) {
            kept.push(line);
        }
    }
    kept.into_iter().rev().map(out::plain).collect()
}

/// One line of a log.
#[derive(Clone, Copy, Debug)]
pub struct Line<'l>(pub &'l str);

impl Line<'_> {
    /// The message without time and level; the whole line if its format is unknown.
    pub fn message(&self) -> String {
        self.field("msg")
            .or_else(|| self.field("message"))
            .or_else(|| Some(klog(self.0)?.1.to_owned()))
            .unwrap_or_else(|| self.0.to_owned())
    }

    /// The value of a field of a logfmt line, `msg="Listening on" address=127.0.0.1:9090`, or of a JSON object.
    pub fn field(&self, name: &str) -> Option<String> {
        if self.0.starts_with('{') {
            let object: Value = serde_json::from_str(self.0).ok()?;
            let value = object.get(name)?;
            return Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        let start = self.0.match_indices(name).find_map(|(at, _)| {
            let before = self.0[..at].chars().next_back();
            let after = self.0[at + name.len()..].strip_prefix('=')?;
            before.is_none_or(char::is_whitespace).then_some(after)
        })?;
        let value = match start.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => start.split_whitespace().next(),
        };
        value.map(str::to_owned)
    }

    /// Whether its level is one of these.
    fn is(&self, levels: &[&str]) -> bool {
        let level = self.field("level").or_else(|| Some(klog(self.0)?.0.to_owned())).unwrap_or_default();
        levels.iter().any(|wanted| level.eq_ignore_ascii_case(wanted))
    }
}

/// Level and message of a line in klog's form: `W0131 23:59:59.000000       1 file.go:1] message`.
fn klog(line: &str) -> Option<(&'static str, &str)> {
    let (letter, rest) = line.split_at_checked(1)?;
    let level =
        [("I", "info"), ("W", "warn"), ("E", "error"), ("F", "fatal")].into_iter().find(|(own, _)| *own == letter)?.1;
    let date = rest.split(' ').next()?;
    if date.len() != 4 || date.parse::<u16>().is_err() {
        return None;
    }
    Some((level, rest.split_once("] ")?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        r#"ts=2026 caller=tls_config.go:313 level=info component=web msg="Listening on" address=127.0.0.1:41235"#;
    const NEW: &str = r#"time=2026 level=INFO source=x.go:1 msg="Listening on" component=web address=[::]:9090"#;
    const JSON: &str = r#"{"level":"info","message":"listening","address":"127.0.0.1:1","count":2}"#;

    #[test]
    fn fields_are_found_in_every_form() {
        for (line, name, value) in [
            (OLD, "msg", Some("Listening on")),
            (OLD, "address", Some("127.0.0.1:41235")),
            (NEW, "level", Some("INFO")),
            (NEW, "address", Some("[::]:9090")),
            (NEW, "dress", None),
            (JSON, "address", Some("127.0.0.1:1")),
            (JSON, "count", Some("2")),
            (JSON, "msg", None),
        ] {
            assert_eq!(Line(line).field(name).as_deref(), value, "{name} of {line}");
        }
    }

    #[test]
    fn an_early_error_is_among_the_key_lines() {
        let mut log = vec!["level=info msg=a", "time=1 level=ERROR msg=why", "level=info msg=b"];
        let end: Vec<String> = (0..8).map(|count| format!("level=info msg={count}")).collect();
        log.extend(end.iter().map(String::as_str));
        assert_eq!(key_lines(&log.join("\n")), format!("time=1 level=ERROR msg=why\n{}", end.join("\n")));
        assert_eq!(key_lines("one\ntwo"), "one\ntwo");
        assert_eq!(key_lines(""), "");
    }

    #[test]
    fn complaints_are_the_last_of_each_message() {
        let log = "level=info msg=fine\nlevel=warn msg=slow took=1\nlevel=error message=bad file=a\n\
                   level=warn msg=slow took=2\nI0131 23:59:59.000000       1 file.go:1] fine\n\
                   W0131 23:59:59.000000       1 file.go:1] pods is forbidden\n\
                   W0131 23:59:59.900000       1 file.go:1] pods is forbidden\npanic: one";
        assert_eq!(
            complaints(log),
            [
                "level=error message=bad file=a",
                "level=warn msg=slow took=2",
                "W0131 23:59:59.900000       1 file.go:1] pods is forbidden",
                "panic: one"
            ]
        );
    }

    #[test]
    fn the_newest_lines_are_those_of_different_messages() {
        let log = "E0131 01:00:00.1 188 a.go:1] again\nstopped\nE0131 01:00:01.1 188 a.go:1] again\n";
        assert_eq!(newest(log.lines(), 6), ["stopped", "E0131 01:00:01.1 188 a.go:1] again"]);
        assert_eq!(newest(log.lines(), 1), ["E0131 01:00:01.1 188 a.go:1] again"]);
    }

    #[test]
    fn the_last_lines_are_no_more_than_there_are() {
        assert_eq!((last("a\nb\nc\n", 2).as_str(), last("a", 2).as_str(), last("", 2).as_str()), ("b\nc", "a", ""));
        assert_eq!(quoted("log ", "a\nb"), "  log | a\n  log | b");
    }
}
