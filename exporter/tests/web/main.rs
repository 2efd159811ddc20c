//! The real binary with `--web.config.file`, over real TLS.
//!
//! - [`refused`]: files that it does not start with, and what it says about each
//! - [`clients`]: every policy on clients' certificates, and the names that are allowed
//! - [`versions`]: protocol versions, cipher suites, curves
//! - [`passwords`]: who is let in, what a flood of guesses does to the others, and what is never in the log
//! - [`requests`]: headers, the rate limit, health without a password, health on an address of its own
//! - [`changes`]: files that change while it runs
//! - [`handshakes`]: clients that are slow with a handshake, or speak something else

mod changes;
mod clients;
mod handshakes;
mod passwords;
mod refused;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod versions;

use support::pki::Pki;
use support::running::Running;

/// A server's certificate, to which lines of `tls_server_config` and other sections can be added.
const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

fn start(pki: &Pki, config: &str) -> Running {
    start_with(pki, config, &[])
}

fn start_with(pki: &Pki, config: &str, flags: &[&str]) -> Running {
    let file = pki.write("web.yml", config);
    support::pki::age(&file);
    let mut arguments = vec!["--web.config.file".to_string(), file.to_str().unwrap().to_string()];
    arguments.extend(flags.iter().map(ToString::to_string));
    Running::start(arguments)
}

/// The lines that give one user, whose password is checked as quickly as bcrypt can.
fn user(name: &str, password: &str) -> String {
    format!("basic_auth_users:\n  {name}: {}\n", hash(password, 4))
}

fn hash(password: &str, cost: u32) -> String {
    bcrypt::hash(password, cost).unwrap()
}

/// The line of a request's head.
fn basic(name: &str, password: &str) -> String {
    use base64::Engine;

    let text = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {text}\r\n")
}
