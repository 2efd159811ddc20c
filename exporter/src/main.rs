//! The binary only wires: command line, log, listeners, server.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use mini_node_exporter::cli::{self, Settings};
use mini_node_exporter::server::{Listener, ShutdownSignals};
use mini_node_exporter::web_config::WebConfigWatcher;
use mini_node_exporter::{announce, http, log, server};

fn main() -> ExitCode {
    // First: without a handler the kernel drops signals to PID 1.
    let signals = ShutdownSignals::catch();
    let settings = match cli::parse(std::env::args_os()) {
        Ok(settings) => settings,
        Err(error) => error.exit(),
    };
    log::init(settings.log_level, settings.log_format);
    match run(&settings, signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever RUST_BACKTRACE says; `eprintln!` would panic on a closed stderr.
            let _ = writeln!(std::io::stderr(), "mini-node-exporter: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings, signals: io::Result<ShutdownSignals>) -> anyhow::Result<()> {
    let web = settings.web_config.as_ref().map(|file| {
        WebConfigWatcher::load(file).map(Arc::new).with_context(|| format!("--web.config.file={}", file.display()))
    });
    let web = web.transpose()?;
    let state = http::ExporterState::new(settings.exporter_options());
    // One thread answers everything: a scrape takes microseconds, and a second thread would only cost memory.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        // Before the first `listening`: a supervisor may signal after that line.
        let signals = signals?.receive().context("cannot handle signals")?;
        let mut listeners = Vec::new();
        let sockets = if settings.systemd_socket { server::inherited()? } else { server::bind(&settings.listen)? };
        let mut app = http::router(Arc::clone(&state));
        if let Some(web) = &web {
            app = http::protected(app, Arc::clone(web));
        }
        if let Some(origins) = settings.cors.clone() {
            app = http::readable_by(origins, app);
        }
        for socket in sockets {
            listeners.push(Listener::new(socket, app.clone(), web.clone()));
        }
        for socket in server::bind(settings.health.as_slice())? {
            listeners.push(Listener::health(socket, http::health(Arc::clone(&state))));
        }
        announce::announce(&state, settings.node_name_from, web.as_deref()).await;
        server::serve(listeners, signals).await
    })
}
