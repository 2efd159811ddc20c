//! A mapping whose keys are known beforehand, taken apart key by key.

use super::problem::Problem;
use super::yaml::{Entry, Node, Value};

pub(super) struct Section {
    name: &'static str,
    entries: Vec<Entry>,
}

impl Section {
    /// None where there is nothing. Refuses a key that is not among `known`.
    pub(super) fn new(name: &'static str, node: Node, known: &[&str]) -> Result<Option<Self>, Problem> {
        let Some(entries) = mapping(name, node)? else { return Ok(None) };
        if let Some(Entry { line, key, .. }) = entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
            let place = if name.is_empty() { String::new() } else { format!(" in {name}") };
            let known = known.join(", ");
            return Err(Problem::at(*line, format!("unknown key{}{place}; known are {known}", quoted(key))));
        }
        Ok(Some(Self { name, entries }))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A key's value; none where it is null.
    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        let node = self.entries.swap_remove(at).node;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// A text and its line; none where it is empty.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<(usize, String)>, Problem> {
        let Some(node) = self.take(key) else { return Ok(None) };
        match node.value {
            Value::Text(text) => Ok((!text.is_empty()).then_some((node.line, text))),
            _ => Err(self.not(node.line, key, "text")),
        }
    }

    /// A list of texts, each with its line.
    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<(usize, String)>>, Problem> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let Value::List(items) = node.value else { return Err(self.not(node.line, key, "a list")) };
        let text = |item: Node| match item.value {
            Value::Text(text) => Ok((item.line, text)),
            _ => Err(self.not(item.line, key, "a list of texts")),
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// `yes` and its like are what YAML 1.1 called booleans, and exporter-toolkit's reader still does.
    pub(super) fn boolean(&mut self, key: &str) -> Result<Option<bool>, Problem> {
        let Some((line, text)) = self.text(key)? else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "n" => Ok(Some(false)),
            _ => Err(self.not(line, key, "true or false")),
        }
    }

    fn not(&self, line: usize, key: &str, what: &str) -> Problem {
        Problem::at(line, format!("{key} in {} is not {what}", self.name))
    }
}

/// The entries of a mapping with keys that are not known beforehand; none where there is nothing.
pub(super) fn mapping(name: &str, node: Node) -> Result<Option<Vec<Entry>>, Problem> {
    match node.value {
        Value::Null => Ok(None),
        Value::Map(entries) => Ok(Some(entries)),
        _ if name.is_empty() => Err(Problem::at(node.line, "the file is not a mapping of keys to values")),
        _ => Err(Problem::at(node.line, format!("{name} is not a mapping of keys to values"))),
    }
}

/// A key as it may be repeated: what does not look like one may be a misplaced secret, and is not.
fn quoted(key: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if key.len() <= 40 && key.chars().all(plain) { format!(" `{key}`") } else { String::new() }
}
