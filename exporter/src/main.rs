//! The binary only wires: command line, log, listeners, server.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use mini_node_exporter::cli::{self, Settings};
use mini_node_exporter::server::Site;
use mini_node_exporter::web::Web;
use mini_node_exporter::{announce, http, log, server};

fn main() -> ExitCode {
    let settings = match cli::parse(std::env::args_os()) {
        Ok(settings) => settings,
        Err(error) => error.exit(),
    };
    log::init(settings.log());
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever RUST_BACKTRACE says; `eprintln!` would panic where nobody reads stderr any more.
            let _ = writeln!(std::io::stderr(), "mini-node-exporter: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> anyhow::Result<()> {
    let web = settings
        .web_config
        .as_ref()
        .map(|file| Web::load(file).map(Arc::new).with_context(|| format!("--web.config.file={}", file.display())));
    let web = web.transpose()?;
    let endpoints = http::Endpoints::new(settings.endpoints());
    // One thread answers everything: a scrape takes microseconds, and a second thread would only cost memory.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        // Before the first `listening`: whoever has read that line may send a signal.
        let signals = server::signals().context("cannot handle signals")?;
        let mut sites = Vec::new();
        let listeners = if settings.systemd_socket { server::inherited()? } else { server::bind(&settings.listen)? };
        let mut app = http::router(Arc::clone(&endpoints));
        if let Some(web) = &web {
            app = http::protected(app, Arc::clone(web));
        }
        if let Some(origins) = settings.cors.clone() {
            app = http::readable_by(origins, app);
        }
        for listener in listeners {
            sites.push(Site::new(listener, app.clone(), web.clone()));
        }
        for listener in server::bind(settings.health.as_slice())? {
            sites.push(Site::health(listener, http::health(Arc::clone(&endpoints))));
        }
        announce::announce(&endpoints, settings.node_name_from, web.as_deref()).await;
        server::serve(sites, signals).await
    })
}
