//! A rule file, its mutants and their excuses.
//!
//! A mutant is the text of the file with one scalar replaced, so that everything else stays as it is. An equivalent mutant
//! is excused by a comment directly above its rule: `# lab mutate: ignore CHANGE: REASON`.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use promql_parser::util::{display_duration, parse_duration};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::change;

/// What begins the comment that excuses a mutant.
const EXCUSE: &str = "lab mutate:";

/// Never gives a sample, so that a rule with it might as well be missing.
const NOTHING: &str = "vector(0) > 1";

/// A rule file and its mutants.
pub struct RuleFile {
    pub text: String,
    /// Its text with everything replaced that a mutant replaces, by the same value.
    pub rewritten: String,
    pub mutants: Vec<Mutant>,
    /// The line and name of each rule whose expression cannot be taken apart, and why.
    pub skipped: Vec<(u64, String, String)>,
}

/// A rule file with one clause of a rule changed.
pub struct Mutant {
    /// Where the rule begins.
    pub line: u64,
    /// The alert's or the recorded metric's name.
    pub rule: String,
    pub kind: &'static str,
    /// The change in words; no two of a rule are the same.
    pub change: String,
    /// What is changed.
    pub clause: String,
    /// Why no test has to notice it.
    pub excuse: Option<String>,
    pub text: String,
}

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Option<Vec<Spanned<Rule>>>,
}

#[derive(Deserialize)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: Spanned<Value>,
    r#for: Option<Spanned<Value>>,
    keep_firing_for: Option<Spanned<Value>>,
    labels: Option<BTreeMap<String, Spanned<Value>>>,
}

/// A scalar of the file.
#[derive(Clone)]
struct Scalar {
    /// Where it stands in the text, its quotes or its block header included.
    place: Range<usize>,
    value: String,
}

impl RuleFile {
    /// Reads a rule file's text.
    pub fn parse(text: String) -> Result<Self> {
        let file: File = serde_saphyr::from_str(&text).context("not a rule file")?;
        let (mut mutants, mut skipped, mut same) = (Vec::new(), Vec::new(), BTreeMap::new());
        for Spanned { value: rule, referenced, .. } in file.groups.iter().flat_map(|group| &group.rules).flatten() {
            let name = rule.alert.as_ref().or(rule.record.as_ref()).context("a rule without a name")?;
            let mut add = |scalar: &Scalar, kind, [change, clause, value]: [String; 3]| {
                same.entry(scalar.place.start).or_insert_with(|| scalar.clone());
                let text = replaced(&text, [&Scalar { value, ..scalar.clone() }]);
                let (line, rule) = (referenced.line(), name.clone());
                mutants.push(Mutant { line, rule, kind, change, clause, excuse: None, text });
            };
            let expr = Scalar::of(&rule.expr, &text)?;
            let (printed, changes) = match change::changes(&expr.value) {
                Ok(changes) => changes,
                Err(error) => {
                    skipped.push((referenced.line(), name.clone(), format!("{error:#}")));
                    (expr.value.clone(), Vec::new())
                }
            };
            add(&expr, "rule", ["removed".into(), name.clone(), NOTHING.into()]);
            for change in changes {
                add(&expr, change.kind, [change.text, change.clause, change.expr.to_string()]);
            }
            for (key, scalar) in [("for", &rule.r#for), ("keep_firing_for", &rule.keep_firing_for)] {
                let Some(scalar) = scalar else { continue };
                let scalar = Scalar::of(scalar, &text)?;
                let (was, clause) = (&scalar.value, format!("{key}: {}", scalar.value));
                let Ok(duration) = parse_duration(was) else { continue };
                for other in ["0s".to_owned(), display_duration(&(duration * 2))] {
                    add(&scalar, key, [format!("{key} {was} becomes {other}"), clause.clone(), other]);
                }
            }
            for (label, scalar) in rule.labels.iter().flatten() {
                let scalar = Scalar::of(scalar, &text)?;
                let (was, other) = (&scalar.value, "other".to_owned());
                add(&scalar, "value", [format!("{label} {was} becomes {other}"), format!("{label}: {was}"), other]);
            }
            same.insert(expr.place.start, Scalar { value: printed, ..expr });
        }
        let rewritten = replaced(&text, same.values());
        excuse(&text, &mut mutants)?;
        Ok(Self { text, rewritten, mutants, skipped })
    }
}

impl Mutant {
    /// Whether this is its kind, the name of its rule, or its own.
    pub fn is(&self, name: &str) -> bool {
        self.kind == name || self.rule == name || self.name() == name
    }

    /// The rule and the change; no two mutants of a rule have the same.
    pub fn name(&self) -> String {
        format!("{}: {}", self.rule, self.change)
    }
}

impl Scalar {
    fn of(node: &Spanned<Value>, text: &str) -> Result<Self> {
        let span = node.referenced.span();
        let place = span.byte_offset().zip(span.byte_len()).and_then(|(start, length)| {
            let start = usize::try_from(start).ok()?;
            let whole = text.get(start..start + usize::try_from(length).ok()?)?;
            // A block's span is its content, up to the next key.
            let header = text[..start].trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
            let begin = if header.ends_with(['|', '>']) { header.len() - 1 } else { start };
            Some(begin..start + whole.trim_end().len())
        });
        let place = place.with_context(|| format!("line {}: expected a text", node.referenced.line()))?;
        let value = match &node.value {
            Value::String(value) => value.clone(),
            // A number as it is written.
            _ => text[place.clone()].to_owned(),
        };
        Ok(Self { place, value })
    }
}

/// The text with other scalars in some places, which are in the order of the text.
fn replaced<'a>(text: &str, scalars: impl IntoIterator<Item = &'a Scalar>) -> String {
    let (mut replaced, mut end) = (String::new(), 0);
    for Scalar { place, value } in scalars {
        replaced.push_str(&text[end..place.start]);
        // Quoted as JSON does it, which is YAML.
        replaced.push_str(&Value::from(value.as_str()).to_string());
        end = place.end;
    }
    replaced + &text[end..]
}

/// Gives the mutants the reasons that stand in comments above their rules.
fn excuse(text: &str, mutants: &mut [Mutant]) -> Result<()> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    for (index, line) in lines.iter().enumerate() {
        let comment = line.strip_prefix('#').map(str::trim).unwrap_or_default();
        let Some(said) = comment.strip_prefix(EXCUSE) else { continue };
        let more = lines[index..].iter().take_while(|line| line.starts_with('#')).count();
        let (number, below) = (index + 1, (index + more + 1) as u64);
        let expected = format!("expected `# {EXCUSE} ignore CHANGE: REASON` directly above a rule");
        let said = said.trim().strip_prefix("ignore ").with_context(|| format!("line {number}: {expected}"))?;
        let excused = mutants.iter_mut().filter(|mutant| mutant.line == below).find_map(|mutant| {
            let reason = said.strip_prefix(&mutant.change)?.strip_prefix(':')?.trim().to_owned();
            Some((mutant, reason))
        });
        let Some((mutant, reason)) = excused else {
            let of_rule = mutants.iter().filter(|mutant| mutant.line == below);
            let changes: Vec<String> = of_rule.map(|mutant| format!("`{}`", mutant.change)).collect();
            ensure!(!changes.is_empty(), "line {number}: no rule follows the excuse; {expected}");
            bail!(
                "line {number}: no such change: `{said}`; {expected}, of which the changes are {}",
                changes.join(", ")
            );
        };
        ensure!(!reason.is_empty(), "line {number}: the excuse has no reason; {expected}");
        mutant.excuse = Some(reason);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const TEXT: &str = r#"# A comment, and "up".
groups:
  - name: g
    rules:
      # lab mutate: ignore > becomes >=: no sample
      # is ever 0.5.
      - alert: A
        expr: |-
          up
          > 0.5
        for: 15m
        keep_firing_for: 0s
        labels: { severity: 'page', team: "ops", tier: 1.10 }
        annotations: { summary: It is up. }
      - record: b
        expr: sum(up)   # of all
      - { record: c, expr: "vector(1)" }
      - record: d
        expr: >
          up

      - record: e
        expr: up +
          1
"#;

    fn parse(from: &str, to: &str) -> Result<RuleFile> {
        assert!(TEXT.contains(from), "{from}");
        RuleFile::parse(TEXT.replacen(from, to, 1))
    }

    #[test]
    fn a_mutant_is_the_file_with_one_scalar_replaced() {
        let file = parse("", "").unwrap();
        let mut shown = file.rewritten.clone();
        for mutant in &file.mutants {
            let differs = |(one, other): &(&str, &str)| one != other;
            let at = TEXT.lines().zip(mutant.text.lines()).position(|lines| differs(&lines)).unwrap();
            let (line, rule, change) = (mutant.line, &mutant.rule, &mutant.change);
            writeln!(shown, "{line} {rule}: {change}: {}", mutant.text.lines().nth(at).unwrap().trim()).unwrap();
        }
        insta::assert_snapshot!(shown, @r#"
        # A comment, and "up".
        groups:
          - name: g
            rules:
              # lab mutate: ignore > becomes >=: no sample
              # is ever 0.5.
              - alert: A
                expr: "up > 0.5"
                for: "15m"
                keep_firing_for: 0s
                labels: { severity: "page", team: "ops", tier: "1.10" }
                annotations: { summary: It is up. }
              - record: b
                expr: "sum(up)"   # of all
              - { record: c, expr: "vector(1)" }
              - record: d
                expr: "up"

              - record: e
                expr: "up + 1"
        7 A: removed: expr: "vector(0) > 1"
        7 A: > becomes >=: expr: "up >= 0.5"
        7 A: > becomes <: expr: "up < 0.5"
        7 A: 0.5 becomes 1: expr: "up > 1"
        7 A: for 15m becomes 0s: for: "0s"
        7 A: for 15m becomes 30m: for: "30m"
        7 A: severity page becomes other: labels: { severity: "other", team: "ops", tier: 1.10 }
        7 A: team ops becomes other: labels: { severity: 'page', team: "other", tier: 1.10 }
        7 A: tier 1.10 becomes other: labels: { severity: 'page', team: "ops", tier: "other" }
        15 b: removed: expr: "vector(0) > 1"   # of all
        17 c: removed: - { record: c, expr: "vector(0) > 1" }
        17 c: 1 becomes 2: - { record: c, expr: "vector(2)" }
        18 d: removed: expr: "vector(0) > 1"
        22 e: removed: expr: "vector(0) > 1"
        22 e: 1 becomes 2: expr: "up + 2"
        "#);
    }

    #[test]
    fn a_mutant_is_excused_by_a_comment_above_its_rule() {
        let file = parse("", "").unwrap();
        let excused: Vec<_> = file.mutants.iter().filter_map(|it| Some((&*it.change, it.excuse.as_deref()?))).collect();
        assert_eq!(excused, [("> becomes >=", "no sample")]);
    }

    #[test]
    fn an_excuse_names_a_change_and_a_reason() {
        for (from, to, said) in [
            (": no sample", ":", "line 5: the excuse has no reason; expected `# lab mutate: ignore CHANGE: REASON`"),
            ("becomes >=", "becomes ==", "line 5: no such change: `> becomes ==: no sample`; expected"),
            ("ignore > becomes", "excuse > becomes", "line 5: expected `# lab mutate: ignore CHANGE: REASON` directly"),
            ("  - alert", "\n      - alert", "line 5: no rule follows the excuse; expected"),
        ] {
            let error = format!("{:#}", parse(from, to).err().unwrap());
            assert!(error.starts_with(said), "{to}: {error}");
        }
    }

    #[test]
    fn an_expression_that_cannot_be_taken_apart_is_skipped_and_its_rule_is_not() {
        let file = parse("sum(up)", "sum(").unwrap();
        assert_eq!(file.skipped.len(), 1);
        let (line, rule, reason) = &file.skipped[0];
        assert_eq!((*line, rule.as_str(), reason.as_str()), (15, "b", "cannot parse it: unclosed left parenthesis"));
        assert!(file.mutants.iter().any(|mutant| mutant.rule == "b" && mutant.change == "removed"));
    }
}
