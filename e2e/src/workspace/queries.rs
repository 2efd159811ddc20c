//! Whether every panel of a dashboard shows something: each of its queries is run, by Prometheus itself or through
//! Grafana, and must return samples.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use promql_parser::parser::{self, Expr};
use serde_json::Value;

use super::dashboard::{Dashboard, named_source};
use super::opening::Lookup;
use super::promql::bare;
use super::variables::{self, Values};
use crate::terminal::out;
use crate::wait::poll::Final;

/// What is said of a query that finds nothing.
const NO_SAMPLES: &str = "no samples";

/// A query of a dashboard, its variables filled in.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose it is: a panel by id and title, an annotation or a variable by name.
    pub owner: String,
    /// Its letter, where the owner is a panel.
    pub ref_id: String,
    /// The query as Prometheus takes it.
    pub expr: String,
    /// Whether it is an instant query.
    pub instant: bool,
    /// Whether it is wrong to find nothing; an annotation may.
    pub needs_samples: bool,
    /// Why it cannot be run.
    pub problem: Option<String>,
    /// The data source that a panel names, by uid or name.
    pub datasource: Option<String>,
}

/// The queries of dashboards.
#[derive(Clone, Debug, Default)]
pub struct Queries {
    pub list: Vec<Query>,
    /// The queries that are not run.
    pub omitted: Omitted,
}

/// How many queries are left out.
#[derive(Clone, Debug, Default)]
pub struct Omitted {
    /// Grafana does not run them.
    hidden: usize,
    /// Those of other data sources, by plugin.
    others: BTreeMap<String, usize>,
    /// Panels that are kept outside the dashboard.
    library: usize,
}

/// What became of the queries.
#[derive(Debug, Default)]
pub struct Report {
    /// Each query with the number of samples that it gave, or why it gave none.
    pub answers: Vec<(Query, Result<usize>)>,
}

impl Queries {
    /// Every query of some dashboards, as they open: those of panels, of annotations, and of the variables' values, which
    /// `find` finds.
    pub fn of(
        dashboards: &[Dashboard],
        scrape_interval: Duration,
        find: &dyn Fn(&Lookup) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let mut queries = Self::default();
        for dashboard in dashboards {
            queries.add(dashboard, scrape_interval, find)?;
        }
        if queries.list.is_empty() {
            return Err(Final(format!("the dashboards have no query: nothing to check{}", queries.omitted)).into());
        }
        Ok(queries)
    }

    fn add(
        &mut self,
        dashboard: &Dashboard,
        scrape_interval: Duration,
        find: &dyn Fn(&Lookup) -> Result<Vec<String>>,
    ) -> Result<()> {
        let (values, first) = dashboard.opened(find)?;
        for variable in dashboard.variables() {
            let lookup = variable.lookup(&values)?;
            if let Some(expr) = lookup.and_then(|lookup| lookup.query())
                && self.is_run(dashboard, [&variable.datasource])
            {
                self.list.push(Query {
                    instant: true,
                    ..Query::of(format!("variable `{}`", variable.name), &expr, &values)
                });
            }
        }
        for (panel, repeats) in dashboard.repeated() {
            self.omitted.library += usize::from(panel.library_panel.is_some());
            for target in panel.targets.iter().filter(|target| panel.shows_data() && !target.expr.is_empty()) {
                if target.hide {
                    self.omitted.hidden += 1;
                } else if self.is_run(dashboard, [&target.datasource, &panel.datasource]) {
                    let own = panel.built_in(target, scrape_interval);
                    let is_repeated = |(name, _): &(&String, _)| repeats.contains(&variables::base(name));
                    let once = first.iter().filter(is_repeated).map(|(name, text)| (name.clone(), text.clone()));
                    let values = values.clone().into_iter().chain(own).chain(once).collect();
                    let query = Query::of(format!("panel {} `{}`", panel.id, panel.title), &target.expr, &values);
                    let datasource = named_source([&target.datasource, &panel.datasource]).map(str::to_owned);
                    let ref_id = target.ref_id.clone();
                    self.list.push(Query { ref_id, instant: target.instant, datasource, ..query });
                }
            }
        }
        for annotation in dashboard.annotations() {
            if let Some(expr) = &annotation.expr
                && self.is_run(dashboard, [&annotation.datasource])
            {
                let query = Query::of(format!("annotation `{}`", annotation.name), expr, &values);
                self.list.push(Query { needs_samples: false, ..query });
            }
        }
        Ok(())
    }

    /// Whether a query goes to Prometheus; counts it where it does not.
    fn is_run<const N: usize>(&mut self, dashboard: &Dashboard, datasources: [&Value; N]) -> bool {
        let other = dashboard.other_source(datasources);
        let is_run = other.is_none();
        if let Some(plugin) = other {
            *self.omitted.others.entry(plugin).or_default() += 1;
        }
        is_run
    }

    /// Runs every query; `run` returns how many samples one gave.
    pub fn ask(&self, run: impl Fn(&Query) -> Result<usize>) -> Report {
        let answer = |query: &Query| match &query.problem {
            Some(problem) => Err(Final(problem.clone()).into()),
            None => run(query),
        };
        Report { answers: self.list.iter().map(|query| (query.clone(), answer(query))).collect() }
    }
}

impl Query {
    /// A range query that has to find something.
    fn of(owner: String, expr: &str, values: &Values) -> Self {
        let filled = variables::fill(expr, values);
        let problem = filled.as_ref().err().map(ToString::to_string);
        let expr = filled.map_or_else(|_| expr.to_owned(), |filled| unfiltered(&filled).unwrap_or(filled));
        Self { owner, ref_id: String::new(), expr, instant: false, needs_samples: true, problem, datasource: None }
    }
}

/// A query without the comparison that it ends in, by which it may rightly find nothing; `None` if it has none.
fn unfiltered(query: &str) -> Option<String> {
    match bare(&parser::parse(query).ok()?) {
        Expr::Binary(binary) if binary.op.is_comparison_operator() && !binary.return_bool() => {
            matches!(bare(&binary.rhs), Expr::NumberLiteral(_)).then(|| binary.lhs.to_string())
        }
        _ => None,
    }
}

impl fmt::Display for Omitted {
    /// Such as `; left out: 2 hidden queries`; nothing where none is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        if self.hidden > 0 {
            parts.push(out::count(self.hidden, "hidden query", "hidden queries"));
        }
        parts
            .extend(self.others.iter().map(|(plugin, count)| out::count(*count, "query", "queries") + " of " + plugin));
        if self.library > 0 {
            parts.push(out::count(self.library, "library panel", "library panels"));
        }
        if parts.is_empty() { Ok(()) } else { write!(f, "; left out: {}", parts.join(", ")) }
    }
}

impl Report {
    /// What failed, and who has no samples, one line for each cause; empty when every panel shows something.
    pub fn problems(&self) -> Vec<String> {
        let mut causes: Vec<(String, Vec<String>)> = Vec::new();
        for (query, answer) in &self.answers {
            let (cause, who) = match answer {
                Err(error) => (format!("{error:#}"), query.to_string()),
                Ok(0) if query.needs_samples => {
                    (NO_SAMPLES.to_owned(), format!("{query} (`{}`)", in_one_line(&query.expr)))
                }
                Ok(_) => continue,
            };
            match causes.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, all)) => all.push(who),
                None => causes.push((cause, vec![who])),
            }
        }
        let listed = |(cause, all): (String, Vec<String>)| match all.as_slice() {
            // Each has another query, and all of them are to be looked at.
            all if cause == NO_SAMPLES && all.len() > 3 => {
                format!("{cause} for {}:\n  {}", all.len(), all.join("\n  "))
            }
            all => format!("{cause}: {}", out::first(3, all)),
        };
        causes.into_iter().map(listed).collect()
    }

    /// A line for each panel, annotation and variable, with the number of samples that each query gave.
    pub fn lines(&self) -> Vec<String> {
        let count = |(query, answer): &(Query, Result<usize>)| match answer {
            Ok(count) => format!("{} {count}", query.ref_id).trim().to_owned(),
            Err(_) => format!("{} failed", query.ref_id).trim().to_owned(),
        };
        let owners = self.answers.chunk_by(|(one, _), (other, _)| one.owner == other.owner);
        owners
            .filter_map(|own| {
                let counts: Vec<String> = own.iter().map(count).collect();
                Some(format!("{}: samples {}", own.first()?.0.owner, counts.join(", ")))
            })
            .collect()
    }
}

fn in_one_line(query: &str) -> String {
    query.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.owner)?;
        if self.ref_id.is_empty() { Ok(()) } else { write!(f, ", query {}", self.ref_id) }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn queries(dashboard: &str) -> Queries {
        Queries::of(&[Dashboard::parse(dashboard).unwrap()], Duration::from_secs(1), &|_| Ok(Vec::new())).unwrap()
    }

    const TEXT: &str = r#"{"uid": "u", "title": "t",
        "panels": [{"id": 2, "type": "stat", "title": "Up",
          "targets": [{"refId": "A", "expr": "up{node=~\"$node\"}", "instant": true}]}],
        "templating": {"list": [{"name": "node", "type": "query", "includeAll": true, "allValue": ".+", "query": "label_values(up, node)"}]},
        "annotations": {"list": [{"name": "Kept"}, {"name": "Reboots", "expr": "resets(x[1h])"}]}}"#;

    fn shown(queries: &Queries) -> Vec<String> {
        queries.list.iter().map(|query| format!("{query}: {}", query.expr)).collect()
    }

    #[test]
    fn variables_panels_and_annotations_are_asked() {
        let expected = [
            "variable `node`: group by (node) (up)",
            "panel 2 `Up`, query A: up{node=~\".+\"}",
            "annotation `Reboots`: resets(x[1h])",
        ];
        assert_eq!(shown(&queries(TEXT)), expected);
    }

    #[test]
    fn an_annotation_may_find_nothing_and_a_panel_may_not() {
        let report = queries(TEXT).ask(|_| Ok(0));
        let none = "no samples: variable `node` (`group by (node) (up)`), panel 2 `Up`, query A (`up{node=~\".+\"}`)";
        assert_eq!(report.problems(), [none]);
        let report = queries(TEXT).ask(|query| if query.needs_samples { Ok(3) } else { Err(anyhow!("bad")) });
        assert_eq!(report.problems(), ["bad: annotation `Reboots`"]);
        let lines = ["variable `node`: samples 3", "panel 2 `Up`: samples A 3", "annotation `Reboots`: samples failed"];
        assert_eq!(report.lines(), lines);
    }

    #[test]
    fn one_cause_is_one_line() {
        let query = Query::of("panel 2 `Up`".into(), "up", &Values::new());
        let query = Query { ref_id: "A".into(), ..query };
        let answers = (0..31).map(|_| (query.clone(), Err(anyhow!("GET http://x: 404"))));
        let shown = Report { answers: answers.collect() }.problems();
        let three = ["panel 2 `Up`, query A"; 3].join(", ");
        assert_eq!(shown, [format!("GET http://x: 404: {three} and 28 more")]);
    }

    /// Grafana runs neither what is hidden nor what rows and texts hold; other data sources are not asked.
    #[test]
    fn what_does_not_go_to_prometheus_is_left_out_and_counted() {
        let queries = queries(
            r#"{"title": "t", "__inputs": [{"name": "DS_LOGS", "type": "datasource", "pluginId": "loki"}],
            "templating": {"list": [{"name": "ds", "type": "datasource", "query": "prometheus"}, {"name": "other", "type": "datasource", "query": "tempo"}]},
            "panels": [
              {"type": "row", "targets": [{"refId": "A"}, {"refId": "B", "expr": "row"}]},
              {"type": "text", "targets": [{"expr": "text"}]},
              {"id": 1, "type": "graph", "datasource": "$ds", "targets": [{"expr": "a"}, {"refId": "B", "expr": "b", "hide": true}, {"refId": "C"}]},
              {"id": 2, "datasource": "${DS_LOGS}", "targets": [{"expr": "c"}]},
              {"id": 3, "datasource": {"uid": "$other"}, "targets": [{"expr": "d"}]},
              {"id": 4, "datasource": {"type": "datasource", "uid": "-- Mixed --"}, "targets": [
                {"expr": "e", "datasource": {"type": "prometheus", "uid": "x"}}, {"expr": "f", "datasource": {"type": "loki", "uid": "y"}}]},
              {"id": 5, "datasource": "-- Dashboard --", "targets": [{"expr": "g"}]},
              {"id": 6, "datasource": "Some name", "targets": [{"expr": "h"}]},
              {"id": 7, "libraryPanel": {"uid": "l", "name": "L"}}],
            "annotations": {"list": [{"name": "Logs", "expr": "i", "datasource": {"type": "loki"}}]}}"#,
        );
        assert_eq!(shown(&queries), ["panel 1 ``: a", "panel 4 ``: e", "panel 6 ``: h"]);
        let expected =
            "; left out: 1 hidden query, 1 query of grafana, 3 queries of loki, 1 query of tempo, 1 library panel";
        assert_eq!(queries.omitted.to_string(), expected);
    }

    #[test]
    fn a_repeated_panel_is_asked_for_its_first_value() {
        let list = r#"[{"name": "dev", "type": "query", "includeAll": true, "query": "label_values(x, dev)"}]"#;
        let panels = r#"[{"type": "row", "repeat": "dev"}, {"id": 1, "targets": [{"expr": "x{dev=\"$dev\"}"}]},
            {"type": "row"}, {"id": 2, "targets": [{"expr": "x{dev=~\"$dev\"}"}]}]"#;
        let text = format!(r#"{{"title": "t", "templating": {{"list": {list}}}, "panels": {panels}}}"#);
        let found = |_: &Lookup| Ok(vec!["sda".to_owned(), "sdb".to_owned()]);
        let queries = Queries::of(&[Dashboard::parse(&text).unwrap()], Duration::from_secs(1), &found).unwrap();
        assert_eq!(shown(&queries)[1..], ["panel 1 ``: x{dev=\"sda\"}", "panel 2 ``: x{dev=~\"(sda|sdb)\"}"]);
    }

    #[test]
    fn a_query_is_asked_without_the_comparison_that_it_ends_in() {
        let asked = |expr: &str| Query::of(String::new(), expr, &Values::new()).expr;
        assert_eq!(asked("(sum(x) > 0)"), "sum(x)");
        for expr in ["x > bool 0", "x > y", "(x > 0) + 1", "0 < x", "unknown syntax > 0"] {
            assert_eq!(asked(expr), expr);
        }
    }

    #[test]
    fn a_query_with_an_unknown_variable_is_a_problem_of_its_own() {
        let queries = queries(r#"{"title": "t", "panels": [{"id": 1, "targets": [{"expr": "up{a=\"$nod\"}"}]}]}"#);
        assert_eq!(queries.ask(|_| Ok(1)).problems(), ["unknown variable `$nod`: panel 1 ``"]);
    }
}
