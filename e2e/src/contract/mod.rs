//! What ties the dashboard and the rules to the metrics: files are read as data, every query is taken apart, and what
//! it names must be in the exporter's exposition or in what Prometheus adds to it.

pub mod catalogue;
pub mod dashboard;
pub mod exposition;
pub mod manifests;
pub mod panels;
pub mod promql;
pub mod rules;
pub mod scrape;
pub mod variables;
