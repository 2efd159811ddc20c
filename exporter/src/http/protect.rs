//! Authentication, rate limit and response headers of `--web.config.file`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use super::path;
use super::response::line;
use crate::log::LogThrottle;
use crate::web_config::{ActiveWebConfig, AuthOutcome, WebConfigWatcher};

struct AccessState {
    web_config: Arc<WebConfigWatcher>,
    failures: LogThrottle,
}

/// The same endpoints behind the rate limit, the passwords and the headers of a web configuration. Health needs no
/// password and has no limit: probes send no password, and must not depend on what other clients do.
pub fn protected(app: Router, web_config: Arc<WebConfigWatcher>) -> Router {
    let access = AccessState { web_config, failures: LogThrottle::default() };
    app.layer(from_fn_with_state(Arc::new(access), protect))
}

async fn protect(State(access): State<Arc<AccessState>>, mut request: Request, next: Next) -> Response {
    let config = access.web_config.active();
    request.extensions_mut().insert(Arc::clone(&config));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
    let is_health = path::is_health(request.uri().path());
    let refusal = if is_health { None } else { access.refuse(&config, peer, request.headers()).await };
    let mut response = match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    config.add_headers(response.headers_mut());
    response
}

impl AccessState {
    async fn refuse(&self, config: &ActiveWebConfig, peer: IpAddr, headers: &HeaderMap) -> Option<Response> {
        if !config.allow() {
            return Some(line(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded"));
        }
        let outcome = self.web_config.check(config, headers, peer).await;
        let (status, reason) = match outcome {
            AuthOutcome::Good => return None,
            AuthOutcome::Missing | AuthOutcome::Bad => (StatusCode::UNAUTHORIZED, "user name and password required"),
            AuthOutcome::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many pending password checks"),
            AuthOutcome::NoThread => (StatusCode::SERVICE_UNAVAILABLE, "cannot check password: cannot start thread"),
        };
        if outcome != AuthOutcome::Missing && self.failures.allows(peer) {
            match outcome {
                AuthOutcome::NoThread => tracing::error!(%peer, "{reason}"),
                AuthOutcome::Busy => tracing::warn!(%peer, "{reason}"),
                _ => tracing::info!(%peer, "authentication failed"),
            }
        }
        let mut response = line(status, reason);
        if status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"mini-node-exporter\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
        }
        Some(response)
    }
}
