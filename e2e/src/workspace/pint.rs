//! Comments in rule files by which their authors tell pint, a linter of rules, what to leave out: `# pint disable …`.

/// What the comments say of each rule: those above it and in it, and those for the whole file. A rule starts in a line and
/// a column, which count from 1; a comment below it belongs to it where it is not further left than its keys.
pub fn comments(text: &str, starts: &[(u64, u64)]) -> Vec<Vec<String>> {
    let mut of_rules = vec![Vec::new(); starts.len()];
    for (line, number) in text.lines().zip(1..) {
        let Some((before, said)) = comment(line) else { continue };
        let of_file = said.strip_prefix("file/").or_else(|| said.starts_with("ignore/file").then_some(said));
        if let Some(said) = of_file {
            for rule in &mut of_rules {
                rule.push(said.to_owned());
            }
            continue;
        }
        let next = starts.partition_point(|(start, _)| *start <= number);
        let in_last = next.checked_sub(1).filter(|last| {
            let column = before.chars().count() as u64 + 1;
            !before.trim().is_empty() || column >= starts[*last].1
        });
        if let Some(rule) = of_rules.get_mut(in_last.unwrap_or(next)) {
            rule.push(said.to_owned());
        }
    }
    of_rules
}

/// What stands before a comment for pint, and what it says.
fn comment(line: &str) -> Option<(&str, &str)> {
    let (before, after) = line.match_indices('#').find_map(|(at, _)| {
        let said = line[at + 1..].trim_start().strip_prefix("pint")?;
        said.starts_with(char::is_whitespace).then_some((&line[..at], said))
    })?;
    Some((before, after.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
# pint file/disable promql/series(everywhere)
groups:
  - name: g
    rules:
      # Not for the linter.
      # pint disable promql/series(above)
      - alert: A
        # pint disable promql/series(inside)
        expr: up == 0 # pint disable promql/series(behind)
        # pint disable promql/series(below)
      #pint   disable promql/series(next)
      - record: b
        expr: up
  # pint disable promql/series(group)
  - name: h
    rules:
      - {record: c, expr: up}
      # pint disable promql/series(nowhere)
      # pinto disable promql/series(other)
";

    #[test]
    fn a_comment_belongs_to_the_rule_below_it_or_around_it() {
        let said = comments(TEXT, &[(8, 9), (13, 9), (18, 9)]);
        let names = |comments: &Vec<String>| {
            let name =
                |said: &String| said.trim_start_matches("disable promql/series(").trim_end_matches(')').to_owned();
            comments.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let seen: Vec<_> = said.iter().map(names).collect();
        assert_eq!(seen, ["everywhere above inside behind below", "everywhere next", "everywhere group"]);
    }
}
