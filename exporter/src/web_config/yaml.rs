//! Parses YAML into nodes with line numbers.
//!
//! The crate serde-saphyr, which would do this in fewer lines, adds 0.6 MB to the binary.

use granit_parser::{Event, Options, Parser, ScalarStyle, StrInput, Tag};

use super::error::ConfigError;

/// The format has three levels.
const DEEPEST: usize = 8;

pub(super) struct YamlNode {
    pub(super) line: usize,
    pub(super) value: YamlValue,
}

pub(super) enum YamlValue {
    Null,
    Scalar(String),
    List(Vec<YamlNode>),
    Map(Vec<YamlEntry>),
}

pub(super) struct YamlEntry {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) node: YamlNode,
}

/// The file's one document; an empty file is null.
pub(super) fn parse(text: &str) -> Result<YamlNode, ConfigError> {
    let mut options = Options::default();
    // They are on by default where another crate of the same build needs them.
    options.set_emit_comments(false);
    let mut reader = YamlReader(Parser::new_from_str_with_options(text, options));
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(root.unwrap_or(YamlNode { line: 1, value: YamlValue::Null })),
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (_, line) if root.is_some() => return Err(ConfigError::at(line, "more than one document")),
            first => root = Some(reader.node(first, 0)?),
        }
    }
}

struct YamlReader<'a>(Parser<'a, StrInput<'a>>);

impl<'a> YamlReader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), ConfigError> {
        match self.0.next() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(ConfigError::at(error.marker().line(), "invalid YAML")),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn node(&mut self, (event, line): (Event<'a>, usize), depth: usize) -> Result<YamlNode, ConfigError> {
        if depth > DEEPEST {
            return Err(ConfigError::at(line, "nested too deeply"));
        }
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                let is_text = check(tag.as_deref(), line)?;
                let is_null = matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                if is_null && style == ScalarStyle::Plain && !is_text {
                    YamlValue::Null
                } else {
                    YamlValue::Scalar(text.into_owned())
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
            _ => return Err(ConfigError::at(line, "YAML aliases are not supported; repeat the value")),
        };
        Ok(YamlNode { line, value })
    }

    fn list(&mut self, depth: usize) -> Result<YamlValue, ConfigError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(YamlValue::List(items)),
                item => items.push(self.node(item, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<YamlValue, ConfigError> {
        let mut entries: Vec<YamlEntry> = Vec::new();
        loop {
            let (line, key) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(YamlValue::Map(entries)),
                (Event::Scalar(key, ..), line) => (line, key.into_owned()),
                (_, line) => return Err(ConfigError::at(line, "invalid key; expected text")),
            };
            if entries.iter().any(|entry| entry.key == key) {
                return Err(ConfigError::at(line, "duplicate key"));
            }
            let value = self.next()?;
            entries.push(YamlEntry { line, key, node: self.node(value, depth + 1)? });
        }
    }
}

/// Whether a tag says that this is text; other tags would change what is meant.
fn check(tag: Option<&Tag>, line: usize) -> Result<bool, ConfigError> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.core_suffix() == Some("str") => Ok(true),
        Some(_) => Err(ConfigError::at(line, "tags other than `!!str` are not supported")),
    }
}
