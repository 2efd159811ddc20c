//! A lean Prometheus exporter for a Linux node: its hostname, its uptime and its load.
//!
//! A module uses only those after it: [`cli`], [`announce`], [`server`], [`http`], [`web_config`], [`exposition`],
//! [`collector`], [`node`], [`procfs`], [`log`], [`build_info`], and `sync`.
//!
//! What Prometheus would scrape from a procfs tree, without a socket:
//!
//! ```
//! use std::sync::Arc;
//!
//! use mini_node_exporter::collector;
//! use mini_node_exporter::exposition::{Gatherer, encode};
//! use mini_node_exporter::node::{Node, ReadSession};
//! use mini_node_exporter::procfs::{NODE_FILES, ProcRoot};
//!
//! let node = Node::new(ProcRoot::new("/proc", &NODE_FILES), Some("worker-1".into()), Arc::default());
//! let gatherer = Gatherer::new(collector::defaults(), false);
//! let text = encode(&gatherer.gather(&ReadSession::new(&node), gatherer.collectors()))?;
//! assert!(text.contains("node_load{hostname=\"worker-1\",duration=\"1m\"}"));
//! # Ok::<(), prometheus::Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod announce;
pub mod build_info;
pub mod cli;
pub mod collector;
pub mod exposition;
pub mod http;
pub mod log;
pub mod node;
pub mod procfs;
pub mod server;
mod sync;
pub mod web_config;
