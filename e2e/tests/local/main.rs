//! The `local` tier: real exporter processes, a real Prometheus, no Docker and no root. Without a Prometheus the tests
//! fail, with the command that gets one.
//!
//! | module | what is proved |
//! |---|---|
//! | `passing`, `shared` | every check passes on what is right |
//! | `planted` | faults: exactly these checks fail of each, and name the cause |
//! | `fleet` | simulated nodes, in clusters whose nodes have the same names |
//! | `scenarios` | every shipped scenario passes, and every alert fires and resolves |
//! | `pages` | what Alertmanager delivers: 300 nodes that are down are one page |
//! | `plays` | unit tests of rules, played on a Prometheus as promtool calculates them |
//! | `faults` | a part that dies and a start that fails are reported with the last log lines |
//! | `outages` | what each panel of the dashboard shows while nodes are lost |
//! | `children` | a child lives as long as the process that started it, on whatever thread |
//! | `existing` | `lab check` on a stack that already runs |
//! | `others` | the lab around a program of somebody else, described by flags or a file |
//! | `your_exporter` | the commands of `docs/your-exporter.md` on that program, and the action of `action.yml` |
//! | `ends` | however a lab ends, it leaves nothing behind |
//! | `environment` | the caller's environment: proxies, variables of other tools, programs that hang, missing files |
//! | `places` | odd machines: no locks, odd paths, no checkout, builds without a version |
//! | `background`, `watching` | a lab that goes on in the background, and its nodes while it stays |
//! | `several`, `ports` | labs beside each other, and ports that are taken |
//! | `tls` | a scrape over mutual TLS with a password, what is refused, and what promtool says of such files |
//! | `flags` | every flag of every command has an effect |
//! | `loopback` | nothing listens where others reach it |
//! | `usage` | the command line, its output and its exit codes |
//! | `cluster_needs` | what a cluster needs is asked for before anything is made; no engine is needed to see that |
//! | `engine` | what is asked of Docker, where engines differ |
//! | `fetching` | where Prometheus comes from: a cache of its own, and a stand-in for the network |
//!
//! `lab`, `running`, `transcript` and `stacks` are what the tests are written with. Most of their time the tests wait for
//! a Prometheus, so more of them run at once than there are cores: see `RUST_TEST_THREADS` in `.cargo/config.toml`.

mod background;
mod children;
mod cluster_needs;
mod ends;
mod engine;
mod environment;
mod existing;
#[path = "../support/fault.rs"]
mod fault;
mod faults;
mod fetching;
mod flags;
mod fleet;
mod lab;
mod loopback;
mod others;
mod outages;
mod pages;
mod passing;
mod places;
mod planted;
mod plays;
mod ports;
mod running;
mod scenarios;
#[path = "../support/serve.rs"]
mod serve;
mod several;
mod shared;
mod stacks;
mod tls;
#[path = "../support/tls_client.rs"]
mod tls_client;
mod transcript;
mod usage;
mod watching;
mod your_exporter;
