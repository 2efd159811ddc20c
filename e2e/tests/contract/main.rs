//! Tier `contract`: the dashboard and the rules against the metrics that the exporter really exposes, with neither a
//! Prometheus nor a Grafana. A metric renamed, a label dropped, a data source's uid changed fails here.
//!
//! | module | holds |
//! |---|---|
//! | `dashboards` | every panel's queries, data source, place, unit and description |
//! | `answers` | what each query of the dashboard gives on series whose answers are known |
//! | `sizes` | how many series each panel shows of a fleet of 300 nodes |
//! | `units` | every panel's unit is that of its metric |
//! | `clusters` | no query takes the nodes of two clusters for one |
//! | `alerts` | every rule's query, every alert's annotations and section in the runbook |
//! | `scraping` | the labels that every scrape configuration attaches, and how often rules are evaluated |
//! | `written` | what `just manifests` writes: prometheus-operator's copy of the rules, the runbook's address |
//! | `promtool` | rules and configuration as Prometheus' own tool sees them, the unit tests of every alert, and the scenarios |
//! | `mutate` | what `lab mutate` finds, and that it passes nothing unjudged |
//! | `reference` | every flag, default, endpoint and metric of `docs/reference.md` |
//! | `commands` | every command of the pages names what there is |
//! | `pages` | the pages that people read: their blocks and links |
//! | `pins` | every pinned version, and every file that repeats it |
//! | `workflows` | which jobs may write, and that both Dockerfiles make the same image |
//! | `house` | the tables of modules in `docs/architecture.md` |
//! | `shipped` | what is under test: files, and the exposition |
//! | `promql`, `catalogue` | what a query names, and what there is to name |

mod alerts;
mod answers;
mod catalogue;
mod clusters;
mod commands;
mod dashboards;
mod house;
mod mutate;
mod pages;
mod pins;
mod promql;
mod promtool;
mod reference;
mod scraping;
mod shipped;
mod sizes;
mod units;
mod workflows;
mod written;

/// Fails with every problem, one a line.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}", problems.join("\n  "));
}
