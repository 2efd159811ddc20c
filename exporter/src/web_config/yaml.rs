//! Parses YAML into nodes with line numbers.
//!
//! The crate serde-saphyr, which would do this in fewer lines, adds 0.6 MB to the binary.

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::problem::Problem;

/// The format has three levels.
const DEEPEST: usize = 8;

pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

pub(super) enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) node: Node,
}

/// The file's one document; an empty file is null.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut events = Events(Parser::new_from_str(text));
    let mut root = None;
    loop {
        match events.next()? {
            (Event::StreamEnd, _) => return Ok(root.unwrap_or(Node { line: 1, value: Value::Null })),
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (_, line) if root.is_some() => return Err(Problem::at(line, "more than one document")),
            first => root = Some(events.node(first, 0)?),
        }
    }
}

struct Events<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Events<'a> {
    /// The next event that says something of the document. Comments and the like are events too where another crate of
    /// the same build asks the parser for them.
    fn next(&mut self) -> Result<(Event<'a>, usize), Problem> {
        loop {
            match self.0.next() {
                Some(Ok((event, Span { start, .. }))) if says_something(&event) => return Ok((event, start.line())),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    let at = error.marker();
                    return Err(Problem::at(at.line(), "invalid YAML"));
                }
                None => return Ok((Event::StreamEnd, 0)),
            }
        }
    }

    fn node(&mut self, (event, line): (Event<'a>, usize), depth: usize) -> Result<Node, Problem> {
        if depth > DEEPEST {
            return Err(Problem::at(line, "nested too deeply"));
        }
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                let is_text = check(tag.as_deref(), line)?;
                let is_null = matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                if is_null && style == ScalarStyle::Plain && !is_text {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                }
            }
            Event::SequenceStart(_, _, tag) => {
                check(tag.as_deref(), line)?;
                self.list(depth)?
            }
            Event::MappingStart(_, _, tag) => {
                check(tag.as_deref(), line)?;
                self.map(depth)?
            }
            _ => return Err(Problem::at(line, "YAML aliases are not supported; repeat the value")),
        };
        Ok(Node { line, value })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                item => items.push(self.node(item, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (line, key) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Map(entries)),
                (Event::Scalar(key, ..), line) => (line, key.into_owned()),
                (_, line) => return Err(Problem::at(line, "invalid key; expected text")),
            };
            if entries.iter().any(|entry| entry.key == key) {
                return Err(Problem::at(line, "duplicate key"));
            }
            let value = self.next()?;
            entries.push(Entry { line, key, node: self.node(value, depth + 1)? });
        }
    }
}

fn says_something(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Alias(..)
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd
    )
}

/// Whether a tag says that this is text; other tags would change what is meant.
fn check(tag: Option<&Tag>, line: usize) -> Result<bool, Problem> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.core_suffix() == Some("str") => Ok(true),
        Some(_) => Err(Problem::at(line, "tags other than `!!str` are not supported")),
    }
}
