//! The endpoints that `--help` lists.
//!
//! HEAD works wherever GET does. Other methods get 405, other paths 404. When a file that `/info` needs is bad, it
//! answers 500 with one line. A tree that can hang is read on another thread, until half a second
//! before the client's timeout, and for 60 s at most.

mod cors;
mod filter;
mod health;
mod held;
mod info;
mod landing;
mod metrics;
mod path;
mod protect;
mod response;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

pub use cors::{AllowedOrigins, readable_by};
pub use held::hold;
pub use path::TelemetryPath;
pub use protect::protected;
pub use state::{ExporterOptions, ExporterState};

/// Returns the endpoints as a service, which needs no socket.
pub fn router(state: Arc<ExporterState>) -> Router {
    Router::new()
        .route(path::LANDING, get(landing::page))
        .route(path::HOSTNAME, info::hostname())
        .route(path::UPTIME, info::uptime())
        .route(path::LOAD, info::load())
        .route(path::LIVE, get(health::live))
        .route(path::READY, get(health::ready))
        .route(state.telemetry_path.as_str(), get(metrics::scrape))
        .with_state(state)
}

/// Returns the health endpoints only.
pub fn health(state: Arc<ExporterState>) -> Router {
    Router::new().route(path::LIVE, get(health::live)).route(path::READY, get(health::ready)).with_state(state)
}
