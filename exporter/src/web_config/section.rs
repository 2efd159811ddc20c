//! A mapping whose keys are known beforehand, taken apart key by key.

use super::problem::Problem;
use super::yaml::{Entry, Node, Value};

pub(super) struct Section(Vec<Entry>);

/// A text, and the line in which it stands.
pub(super) struct Text {
    pub(super) line: usize,
    pub(super) value: String,
}

impl Section {
    /// `None` where there is nothing. Refuses a key that is not among `known`.
    pub(super) fn new(node: Node, known: &[&str]) -> Result<Option<Self>, Problem> {
        let entries = match node.value {
            Value::Null => return Ok(None),
            Value::Map(entries) => entries,
            _ => return Err(Problem::at(node.line, "invalid value; expected mapping")),
        };
        match entries.iter().find(|entry| !known.is_empty() && !known.contains(&entry.key.as_str())) {
            Some(entry) => Err(Problem::at(entry.line, format!("unknown key; expected one of {}", known.join(", ")))),
            None if entries.is_empty() => Ok(None),
            None => Ok(Some(Self(entries))),
        }
    }

    /// A mapping below this one; any key will do if none is `known`.
    pub(super) fn section(&mut self, key: &str, known: &[&str]) -> Result<Option<Self>, Problem> {
        self.take(key).map_or(Ok(None), |node| Self::new(node, known))
    }

    /// `None` where it is null or empty.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<Text>, Problem> {
        let text = self.take(key).map(text).transpose()?;
        Ok(text.filter(|text| !text.value.is_empty()))
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<Text>>, Problem> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let Value::List(items) = node.value else {
            return Err(Problem::at(node.line, "invalid value; expected list"));
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// Refuses what YAML 1.1 does not call a boolean, as exporter-toolkit's reader does.
    pub(super) fn check_boolean(&mut self, key: &str) -> Result<(), Problem> {
        const KNOWN: [&str; 8] = ["true", "yes", "on", "y", "false", "no", "off", "n"];
        match self.text(key)? {
            Some(text) if !KNOWN.contains(&text.value.to_ascii_lowercase().as_str()) => {
                Err(Problem::at(text.line, "invalid value; expected bool"))
            }
            _ => Ok(()),
        }
    }

    /// Every key with its text.
    pub(super) fn into_texts(self) -> impl Iterator<Item = Result<(String, Text), Problem>> {
        self.0.into_iter().map(|entry| Ok((entry.key, text(entry.node)?)))
    }

    fn take(&mut self, key: &str) -> Option<Node> {
        let place = self.0.iter().position(|entry| entry.key == key)?;
        let node = self.0.swap_remove(place).node;
        (!matches!(node.value, Value::Null)).then_some(node)
    }
}

fn text(node: Node) -> Result<Text, Problem> {
    match node.value {
        Value::Text(value) => Ok(Text { line: node.line, value }),
        _ => Err(Problem::at(node.line, "invalid value; expected text")),
    }
}
