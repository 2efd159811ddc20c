//! Harness and local lab.

pub mod catalogue;
pub mod dashboard;
pub mod exposition;
pub mod grafana;
pub mod manifests;
pub mod panels;
pub mod promql;
pub mod rules;
pub mod scrape;
pub mod variables;
