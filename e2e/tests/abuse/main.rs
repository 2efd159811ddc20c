//! Tests that attack the binary that is shipped, over loopback, bounded in count and time: `just abuse`.
//!
//! - [`crowd`]: clients that only hold a connection, up to 5,000 of them
//! - [`slow`]: clients that send or read slowly, and many that scrape at once
//! - [`handshakes`]: TLS handshakes, many that never finish and many that do
//! - [`requests`]: what is no request, or an unusual one
//! - [`tree`]: a procfs root that is replaced, emptied and restored under load
//! - [`signals`]: SIGTERM, SIGSTOP and SIGCONT under load, and a log that nobody reads
//! - [`soak`]: memory and descriptors over very many scrapes, also `just soak`
//!
//! `ABUSE_EXPORTER` names another binary to attack, such as one with a limit taken out: these tests then have to fail.

mod crowd;
mod handshakes;
mod requests;
mod signals;
mod slow;
mod soak;
mod support;
mod tree;
