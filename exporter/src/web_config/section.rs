//! A mapping whose keys are known beforehand, taken apart key by key.

use super::error::ConfigError;
use super::yaml::{YamlEntry, YamlNode, YamlValue};

pub(super) struct Section(Vec<YamlEntry>);

/// A text, and the line in which it stands.
pub(super) struct TextAtLine {
    pub(super) line: usize,
    pub(super) value: String,
}

impl Section {
    /// `None` where there is nothing. Refuses a key that is not among `known`.
    pub(super) fn new(node: YamlNode, known: &[&str]) -> Result<Option<Self>, ConfigError> {
        let entries = match node.value {
            YamlValue::Null => return Ok(None),
            YamlValue::Map(entries) => entries,
            _ => return Err(ConfigError::at(node.line, "invalid value; expected mapping")),
        };
        match entries.iter().find(|entry| !known.is_empty() && !known.contains(&entry.key.as_str())) {
            Some(entry) => {
                Err(ConfigError::at(entry.line, format!("unknown key; expected one of {}", known.join(", "))))
            }
            None if entries.is_empty() => Ok(None),
            None => Ok(Some(Self(entries))),
        }
    }

    /// Returns a mapping below this one; an empty `known` allows any key.
    pub(super) fn section(&mut self, key: &str, known: &[&str]) -> Result<Option<Self>, ConfigError> {
        self.take(key).map_or(Ok(None), |node| Self::new(node, known))
    }

    /// `None` where it is null or empty.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<TextAtLine>, ConfigError> {
        let text = self.take(key).map(text).transpose()?;
        Ok(text.filter(|text| !text.value.is_empty()))
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<TextAtLine>>, ConfigError> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let YamlValue::List(items) = node.value else {
            return Err(ConfigError::at(node.line, "invalid value; expected list"));
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// Refuses what YAML 1.1 does not call a boolean, as exporter-toolkit's reader does.
    pub(super) fn check_boolean(&mut self, key: &str) -> Result<(), ConfigError> {
        const KNOWN: [&str; 8] = ["true", "yes", "on", "y", "false", "no", "off", "n"];
        match self.text(key)? {
            Some(text) if !KNOWN.contains(&text.value.to_ascii_lowercase().as_str()) => {
                Err(ConfigError::at(text.line, "invalid value; expected bool"))
            }
            _ => Ok(()),
        }
    }

    /// Every key with its text.
    pub(super) fn into_texts(self) -> impl Iterator<Item = Result<(String, TextAtLine), ConfigError>> {
        self.0.into_iter().map(|entry| Ok((entry.key, text(entry.node)?)))
    }

    fn take(&mut self, key: &str) -> Option<YamlNode> {
        let place = self.0.iter().position(|entry| entry.key == key)?;
        let node = self.0.swap_remove(place).node;
        (!matches!(node.value, YamlValue::Null)).then_some(node)
    }
}

fn text(node: YamlNode) -> Result<TextAtLine, ConfigError> {
    match node.value {
        YamlValue::Scalar(value) => Ok(TextAtLine { line: node.line, value }),
        _ => Err(ConfigError::at(node.line, "invalid value; expected text")),
    }
}
