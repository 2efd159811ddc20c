//! Harness and local lab.
