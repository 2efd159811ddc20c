//! A lean Prometheus exporter.
