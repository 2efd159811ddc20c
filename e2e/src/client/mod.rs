//! The parts of a stack as seen from outside, over HTTP.

pub mod access;
pub mod alertmanager;
pub mod exporter;
pub mod grafana;
pub mod http;
pub mod prometheus;
#[cfg(test)]
pub mod stand_in;
mod tls;
