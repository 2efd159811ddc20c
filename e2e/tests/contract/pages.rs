//! The pages that people read, and what is in them: blocks, spans of code, links.

use std::sync::LazyLock;

use fs_err as fs;
use regex::Regex;

use crate::{assert_none, shipped};

/// A block begins with its language.
const LANGUAGES: [&str; 6] = ["ini", "mermaid", "sh", "text", "toml", "yaml"];

static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s]+)\)").unwrap());
static SPAN: LazyLock<Regex> = LazyLock::new(|| Regex::new("`([^`]+)`").unwrap());

/// A page.
pub struct Page {
    /// Its path in the workspace.
    pub name: String,
    /// What is in no block.
    pub prose: String,
    /// A language and its lines.
    blocks: Vec<(String, Vec<String>)>,
}

/// Every page of the workspace.
pub fn all() -> Vec<Page> {
    let files = shipped::files(&shipped::path(""));
    let pages = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages: Vec<Page> =
        pages.map(|path| Page::read(shipped::name(path), &fs::read_to_string(path).unwrap())).collect();
    assert!(pages.iter().any(|page| page.name == "README.md"));
    pages
}

impl Page {
    pub fn read(name: String, text: &str) -> Self {
        let mut page = Self { name, prose: String::new(), blocks: Vec::new() };
        let mut open = false;
        for line in text.lines() {
            // In a list it is indented.
            match (line.trim_start().strip_prefix("```"), open) {
                (Some(language), false) => page.blocks.push((language.to_owned(), Vec::new())),
                (Some(_), true) => {}
                (None, true) => page.blocks.last_mut().unwrap().1.push(line.to_owned()),
                (None, false) => {
                    page.prose.push_str(line);
                    page.prose.push('\n');
                    continue;
                }
            }
            open ^= line.trim_start().starts_with("```");
        }
        assert!(!open, "{}: a block has no end", page.name);
        page
    }

    /// The commands of its blocks, without their comments.
    pub fn commands(&self) -> Vec<String> {
        let lines = self.blocks.iter().filter(|(language, _)| language == "sh").flat_map(|(_, lines)| lines);
        let commands = lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
        commands.filter(|command| !command.is_empty() && !command.starts_with('#')).collect()
    }

    /// Its blocks in a language.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let blocks = self.blocks.iter().filter(|(own, _)| own == language);
        blocks.map(|(_, lines)| lines.join("\n")).collect()
    }

    /// What stands as code in its prose, each on one line.
    pub fn spans(&self) -> Vec<String> {
        // A table's cell cannot hold a bare `|`.
        let prose = self.prose.replace("\\|", "|");
        SPAN.captures_iter(&prose).map(|span| span[1].split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// The anchors of its headings.
    pub fn anchors(&self) -> Vec<String> {
        self.prose.lines().filter_map(|line| line.strip_prefix('#')).map(anchor).collect()
    }
}

/// The anchor that GitHub gives to a heading.
pub fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim_start_matches('#').trim().chars().filter(kept).collect::<String>().to_lowercase().replace(' ', "-")
}

/// A block that is only indented would not say what it is, and its commands would be seen by no test.
#[test]
fn every_block_says_its_language() {
    let mut problems = Vec::new();
    for page in all() {
        let unknown = page.blocks.iter().filter(|(language, _)| !LANGUAGES.contains(&language.as_str()));
        problems.extend(unknown.map(|(language, lines)| format!("{}: `{language}` of {lines:?}", page.name)));
        let lines: Vec<&str> = page.prose.lines().collect();
        for (before, line) in lines.iter().zip(lines.iter().skip(1)) {
            if before.is_empty() && line.starts_with("    ") {
                problems.push(format!("{}: a block that is only indented: `{}`", page.name, line.trim()));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_link_leads_somewhere() {
    let pages = all();
    let mut problems = Vec::new();
    for page in &pages {
        let own = shipped::path(&page.name);
        for link in LINK.captures_iter(&page.prose).map(|link| link[1].to_owned()) {
            if link.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { own.clone() } else { own.parent().unwrap().join(path) };
            let Ok(target) = fs::canonicalize(&target) else {
                problems.push(format!("{}: `{link}` leads nowhere", page.name));
                continue;
            };
            let leads = |other: &Page| {
                fs::canonicalize(shipped::path(&other.name)).is_ok_and(|path| path == target)
                    && other.anchors().iter().any(|one| one == anchor)
            };
            if !anchor.is_empty() && !pages.iter().any(leads) {
                problems.push(format!("{}: `{link}`: no such heading", page.name));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_path_in_a_span_is_there() {
    let path = Regex::new(r"^(\.github|docs|e2e|exporter|fixtures|grafana|kustomize|scripts)/[a-z0-9_./-]+$").unwrap();
    let mut problems = Vec::new();
    for page in all() {
        let missing = page.spans().into_iter().filter(|span| path.is_match(span) && !shipped::path(span).exists());
        problems.extend(missing.map(|span| format!("{}: there is no `{span}`", page.name)));
    }
    assert_none(&problems);
}
