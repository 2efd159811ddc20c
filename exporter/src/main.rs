//! The binary only wires: command line, log, listeners, server.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use mini_node_exporter::cli::{self, Settings};
use mini_node_exporter::{announce, http, log, server};

fn main() -> ExitCode {
    let settings = match cli::parse(std::env::args_os()) {
        Ok(settings) => settings,
        Err(error) => error.exit(),
    };
    log::init(settings.log);
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever RUST_BACKTRACE says; `eprintln!` would panic where nobody reads stderr any more.
            let _ = writeln!(std::io::stderr(), "mini-node-exporter: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: Settings) -> anyhow::Result<()> {
    let state = http::State::new(settings.http).context("cannot register the collectors")?;
    // One thread answers everything: a scrape takes microseconds, and a second thread would only cost memory.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        // Before the first `listening`: whoever has read that line may send a signal.
        let signals = server::signals().context("cannot handle signals")?;
        let listeners = if settings.systemd_socket { server::inherited()? } else { server::bind(&settings.listen)? };
        announce::announce(&state, settings.node_name_from);
        server::serve(listeners, http::router(state), signals).await
    })
}
