//! The pages that people read, and what is in them: blocks, spans of code, links.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::{assert_none, shipped};

const PAGES: [&str; 12] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/cost.md",
    "docs/fleet.md",
    "docs/reference.md",
    "docs/runbook.md",
    "e2e/airgap/README.md",
    "e2e/src/client/grafana/recorded/README.md",
    "fixtures/README.md",
];

/// A block begins with its language.
const LANGUAGES: [&str; 4] = ["mermaid", "sh", "text", "yaml"];

static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\]\(([^)\s]+)\)").unwrap());
static SPAN: LazyLock<Regex> = LazyLock::new(|| Regex::new("`([^`]+)`").unwrap());

/// A page.
pub struct Page {
    pub name: &'static str,
    /// What is in no block.
    prose: String,
    /// A language and its lines.
    blocks: Vec<(String, Vec<String>)>,
}

/// Every page.
pub fn all() -> Vec<Page> {
    PAGES.into_iter().map(|name| Page::read(name, &shipped::read(name))).collect()
}

impl Page {
    fn read(name: &'static str, text: &str) -> Self {
        let mut page = Self { name, prose: String::new(), blocks: Vec::new() };
        let mut open = false;
        for line in text.lines() {
            match (line.strip_prefix("```"), open) {
                (Some(language), false) => page.blocks.push((language.to_owned(), Vec::new())),
                (Some(_), true) => {}
                (None, true) => page.blocks.last_mut().unwrap().1.push(line.to_owned()),
                (None, false) => {
                    page.prose.push_str(line);
                    page.prose.push('\n');
                    continue;
                }
            }
            open ^= line.starts_with("```");
        }
        assert!(!open, "{name}: a block has no end");
        page
    }

    /// The commands of its blocks, without their comments.
    pub fn commands(&self) -> Vec<String> {
        let lines = self.blocks.iter().filter(|(language, _)| language == "sh").flat_map(|(_, lines)| lines);
        let commands = lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
        commands.filter(|command| !command.is_empty() && !command.starts_with('#')).collect()
    }

    /// What stands as code in its prose, each on one line.
    pub fn spans(&self) -> Vec<String> {
        // A table's cell cannot hold a bare `|`.
        let prose = self.prose.replace("\\|", "|");
        SPAN.captures_iter(&prose).map(|span| span[1].split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    fn anchors(&self) -> Vec<String> {
        let headings = self.prose.lines().filter_map(|line| line.strip_prefix('#'));
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor = |heading: &str| {
            let text: String = heading.trim_start_matches('#').trim().chars().filter(kept).collect();
            text.to_lowercase().replace(' ', "-")
        };
        headings.map(anchor).collect()
    }
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
        let folder = page.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in LINK.captures_iter(&page.prose).map(|link| link[1].to_owned()) {
            if link.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let name = if path.is_empty() { page.name.to_owned() } else { joined(folder, path) };
            let target = pages.iter().find(|page| page.name == name);
            if !shipped::path(&name).exists() {
                problems.push(format!("{}: `{link}`: there is no {name}", page.name));
            } else if !anchor.is_empty() && !target.is_some_and(|page| page.anchors().iter().any(|one| one == anchor)) {
                problems.push(format!("{}: `{link}`: {name} has no such heading", page.name));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_page_is_listed() {
    let unlisted = pages_below(&shipped::path(""), "").into_iter().filter(|name| !PAGES.contains(&name.as_str()));
    assert_none(&unlisted.map(|name| format!("nothing looks at {name}: list it here")).collect::<Vec<_>>());
}

/// Not in what is hidden, nor in what was built.
fn pages_below(dir: &Path, name: &str) -> Vec<String> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let own = entry.file_name().to_string_lossy().into_owned();
        let is_dir = entry.file_type().unwrap().is_dir();
        if is_dir && !own.starts_with('.') && !["target", "dist"].contains(&own.as_str()) {
            pages.extend(pages_below(&entry.path(), &format!("{name}{own}/")));
        } else if entry.path().extension().is_some_and(|extension| extension == "md") {
            pages.push(format!("{name}{own}"));
        }
    }
    pages
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

/// A relative link, from the workspace's root.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}
