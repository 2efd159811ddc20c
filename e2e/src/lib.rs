//! End-to-end harness and local lab for mini-node-exporter.
//!
//! | noun | module |
//! |---|---|
//! | a running stack and what holds it | [`stack`], [`local`], [`kind`] |
//! | what must be true of it | [`checks`], [`report`] |
//! | the parts of a stack, seen from outside | [`exporter`], [`prometheus`], [`grafana`] |
//! | programs: where they come from, how they are run and ended | [`tools`], [`command`], [`process`], [`guard`] |
//! | runs: their directory, their lock, what failed ones leave | [`run`], [`lock`], [`sweep`], [`evidence`], [`containers`] |
//! | waiting, and being told to stop | [`poll`], [`interrupt`] |
//! | the dashboard and the rules, against the metrics they use | [`contract`] |
//! | what all of them need: addresses to ask, places, hashes, pinned versions | [`http`], [`paths`], [`digest`], [`pins`] |
//! | the command line, and what it writes | [`cli`], [`commands`], [`progress`], [`samples`], [`out`] |

pub mod checks;
pub mod cli;
pub mod command;
pub mod commands;
pub mod containers;
pub mod contract;
pub mod digest;
pub mod evidence;
pub mod exporter;
pub mod grafana;
pub mod guard;
pub mod http;
pub mod interrupt;
pub mod kind;
pub mod local;
pub mod lock;
pub mod out;
pub mod paths;
pub mod pins;
pub mod poll;
pub mod process;
pub mod progress;
pub mod prometheus;
pub mod report;
pub mod run;
pub mod samples;
pub mod stack;
pub mod sweep;
pub mod tools;
