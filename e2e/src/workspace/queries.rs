//! Whether every panel of a dashboard shows something: each of its queries is run, by Prometheus itself or through
//! Grafana, and must return samples.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::terminal::out;
use crate::workspace::dashboard::Dashboard;
use crate::workspace::variables::{self, Values};

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
}

/// What became of the queries.
#[derive(Debug, Default)]
pub struct Report {
    /// Each query with the number of samples that it gave, or why it gave none.
    pub answers: Vec<(Query, Result<usize>)>,
}

/// Every query of a dashboard, as it opens: those of panels, of annotations, and of the variables' values.
pub fn queries(dashboard: &Dashboard, scrape_interval: Duration) -> Result<Vec<Query>> {
    let values = dashboard.values();
    let mut queries = Vec::new();
    let mut add = |query: Query, values: &Values| {
        let expr = variables::fill(&query.expr, values).with_context(|| query.owner.clone())?;
        queries.push(Query { expr, ..query });
        anyhow::Ok(())
    };
    for variable in dashboard.variables() {
        if let Some((selector, label)) = variable.label_values() {
            let owner = format!("variable `{}`", variable.name);
            let expr = format!("group by ({label}) ({selector})");
            add(Query { owner, ref_id: String::new(), expr, instant: true, needs_samples: true }, &values)?;
        }
    }
    for panel in dashboard.panels() {
        for target in &panel.targets {
            let owner = format!("panel {} `{}`", panel.id, panel.title);
            let (ref_id, expr, instant) = (target.ref_id.clone(), target.expr.clone(), target.instant);
            let own = panel.built_in(target, scrape_interval);
            let values = values.clone().into_iter().chain(own).collect();
            add(Query { owner, ref_id, expr, instant, needs_samples: true }, &values)?;
        }
    }
    for annotation in dashboard.annotations() {
        if let Some(expr) = annotation.expr.clone() {
            let owner = format!("annotation `{}`", annotation.name);
            add(Query { owner, ref_id: String::new(), expr, instant: false, needs_samples: false }, &values)?;
        }
    }
    Ok(queries)
}

/// Runs every query of some dashboards; `run` returns how many samples one gave. Dashboards without a query are an error.
pub fn ask(
    dashboards: &[Dashboard],
    scrape_interval: Duration,
    run: impl Fn(&Query) -> Result<usize>,
) -> Result<Report> {
    let mut answers = Vec::new();
    for dashboard in dashboards {
        for query in queries(dashboard, scrape_interval)? {
            let answer = run(&query);
            answers.push((query, answer));
        }
    }
    ensure!(!answers.is_empty(), "the dashboards have no query: nothing to check");
    Ok(Report { answers })
}

impl Report {
    /// What failed, and who has no samples, one line for each cause; empty when every panel shows something.
    pub fn problems(&self) -> Vec<String> {
        let mut causes: Vec<(String, Vec<String>)> = Vec::new();
        for (query, answer) in &self.answers {
            let (cause, who) = match answer {
                Err(error) => (format!("{error:#}"), query.to_string()),
                Ok(0) if query.needs_samples => ("no samples".to_owned(), format!("{query} (`{}`)", query.expr)),
                Ok(_) => continue,
            };
            match causes.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, all)) => all.push(who),
                None => causes.push((cause, vec![who])),
            }
        }
        causes.into_iter().map(|(cause, all)| format!("{cause}: {}", out::first(3, &all))).collect()
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

    const SECOND: Duration = Duration::from_secs(1);

    fn dashboard() -> Dashboard {
        serde_json::from_str(
            r#"{"uid": "u", "title": "t",
            "panels": [{"id": 2, "type": "stat", "title": "Up",
              "targets": [{"refId": "A", "expr": "up{node=~\"$node\"}", "instant": true}]}],
            "templating": {"list": [{"name": "node", "type": "query", "query": "label_values(up, node)"}]},
            "annotations": {"list": [{"name": "Kept"}, {"name": "Reboots", "expr": "resets(x[1h])"}]}}"#,
        )
        .unwrap()
    }

    #[test]
    fn variables_panels_and_annotations_are_asked() {
        let queries = queries(&dashboard(), SECOND).unwrap();
        let texts: Vec<_> = queries.iter().map(|query| format!("{query}: {}", query.expr)).collect();
        assert_eq!(
            texts,
            [
                "variable `node`: group by (node) (up)",
                "panel 2 `Up`, query A: up{node=~\".+\"}",
                "annotation `Reboots`: resets(x[1h])"
            ]
        );
    }

    #[test]
    fn an_annotation_may_find_nothing_and_a_panel_may_not() {
        let report = ask(&[dashboard()], SECOND, |_| Ok(0)).unwrap();
        let none = "no samples: variable `node` (`group by (node) (up)`), panel 2 `Up`, query A (`up{node=~\".+\"}`)";
        assert_eq!(report.problems(), [none]);
        let report =
            ask(&[dashboard()], SECOND, |query| if query.needs_samples { Ok(3) } else { Err(anyhow!("bad")) }).unwrap();
        assert_eq!(report.problems(), ["bad: annotation `Reboots`"]);
        let lines = ["variable `node`: samples 3", "panel 2 `Up`: samples A 3", "annotation `Reboots`: samples failed"];
        assert_eq!(report.lines(), lines);
    }

    #[test]
    fn one_cause_is_one_line() {
        let query = Query {
            owner: "panel 2 `Up`".into(),
            ref_id: "A".into(),
            expr: "up".into(),
            instant: true,
            needs_samples: true,
        };
        let answers = (0..31).map(|_| (query.clone(), Err(anyhow!("GET http://x: 404"))));
        let shown = Report { answers: answers.collect() }.problems();
        let three = ["panel 2 `Up`, query A"; 3].join(", ");
        assert_eq!(shown, [format!("GET http://x: 404: {three} and 28 more")]);
    }
}
