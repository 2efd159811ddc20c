//! Whether every panel of a dashboard shows something: each of its queries is run, by Prometheus itself or through
//! Grafana, and must give samples.

use std::fmt;

use anyhow::{Context as _, Result};

use crate::workspace::dashboard::Dashboard;
use crate::workspace::variables;

/// A query of a dashboard, its variables filled in.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose it is: a panel by id and title, an annotation or a variable by name.
    pub owner: String,
    /// Its letter, where the owner is a panel.
    pub ref_id: String,
    /// The query as Prometheus takes it.
    pub expr: String,
    /// Whether only the latest value is asked for.
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
pub fn queries(dashboard: &Dashboard) -> Result<Vec<Query>> {
    let values = dashboard.values();
    let mut queries = Vec::new();
    let mut add = |owner: String, ref_id: &str, expr: &str, instant: bool, needs_samples: bool| {
        let expr = variables::fill(expr, &values).with_context(|| owner.clone())?;
        queries.push(Query { owner, ref_id: ref_id.to_owned(), expr, instant, needs_samples });
        anyhow::Ok(())
    };
    for variable in dashboard.variables() {
        if let Some((selector, label)) = variable.label_values() {
            add(format!("variable `{}`", variable.name), "", &format!("group by ({label}) ({selector})"), true, true)?;
        }
    }
    for panel in dashboard.panels() {
        for target in &panel.targets {
            let owner = format!("panel {} `{}`", panel.id, panel.title);
            add(owner, &target.ref_id, &target.expr, target.instant, true)?;
        }
    }
    for annotation in dashboard.annotations() {
        if let Some(expr) = &annotation.expr {
            add(format!("annotation `{}`", annotation.name), "", expr, false, false)?;
        }
    }
    Ok(queries)
}

/// Runs every query of some dashboards; `run` says how many samples one gave.
pub fn ask(dashboards: &[Dashboard], mut run: impl FnMut(&Query) -> Result<usize>) -> Result<Report> {
    let mut answers = Vec::new();
    for query in dashboards.iter().map(queries).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        let answer = run(&query);
        answers.push((query, answer));
    }
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
        causes.into_iter().map(|(cause, all)| format!("{cause}: {}", first_three(&all))).collect()
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

/// Three names say where to look; the rest is a number.
fn first_three(names: &[String]) -> String {
    let shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(3) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
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
        let queries = queries(&dashboard()).unwrap();
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
        let report = ask(&[dashboard()], |_| Ok(0)).unwrap();
        let nobody = "no samples: variable `node` (`group by (node) (up)`), panel 2 `Up`, query A (`up{node=~\".+\"}`)";
        assert_eq!(report.problems(), [nobody]);
        let report =
            ask(&[dashboard()], |query| if query.needs_samples { Ok(3) } else { Err(anyhow!("bad")) }).unwrap();
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
