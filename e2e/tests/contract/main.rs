//! Tier `contract`: the dashboard and the rules against the metrics that the exporter really exposes, with neither a
//! Prometheus nor a Grafana. A metric renamed, a label dropped, a data source's uid changed fails here.
//!
//! | module | holds |
//! |---|---|
//! | `dashboards` | every panel's queries, data source, place, unit and description |
//! | `alerts` | every rule's query, every alert's annotations and section in the runbook |
//! | `scraping` | the labels that the cluster's and the local lab's scrape configurations attach |
//! | `operator` | the `PrometheusRule` is written from the rule files |
//! | `promtool` | rules and configuration as Prometheus' own tool sees them, and the unit tests of every alert |
//! | `shipped` | what is under test: files, and the exposition |
//! | `promql`, `catalogue`, `scrape` | what a query names, and what there is to name |

mod alerts;
mod catalogue;
mod dashboards;
mod operator;
mod promql;
mod promtool;
mod scrape;
mod scraping;
mod shipped;

/// Fails with every problem, one a line.
#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}", problems.join("\n  "));
}
