//! What listens, and what is answered there.

use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;

use crate::web::Web;

/// A listener and what its clients are answered.
pub struct Site {
    pub(super) listener: TcpListener,
    pub(super) service: Service,
    pub(super) message: &'static str,
}

/// What the clients of one listener are answered, and over what.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) app: Router,
    pub(super) web: Option<Arc<Web>>,
}

impl Site {
    /// The endpoints, over TLS where a web configuration says so. What else it asks for is up to the endpoints:
    /// [`protected`](crate::http::protected).
    #[must_use]
    pub fn new(listener: TcpListener, app: Router, web: Option<Arc<Web>>) -> Self {
        Self { listener, service: Service { app, web }, message: "listening" }
    }

    /// The endpoints about health, for anybody who can connect. Its line in the log has a message of its own: whoever
    /// looks for `listening` wants the other.
    #[must_use]
    pub fn health(listener: TcpListener, app: Router) -> Self {
        Self { listener, service: Service { app, web: None }, message: "listening for health probes" }
    }
}
