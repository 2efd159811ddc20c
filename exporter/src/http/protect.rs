//! What `--web.config.file` asks of a request before an endpoint sees it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use super::{line, path};
use crate::web::{Peer, Rules, Verdict, Web};

/// The same endpoints behind the rate limit, the passwords and the headers of a web configuration. Health needs no
/// password and has no limit: a kubelet has none to give, and must not suffer for what others ask.
pub fn protected(app: Router, web: Arc<Web>) -> Router {
    app.layer(from_fn_with_state(web, protect))
}

async fn protect(Shared(web): Shared<Arc<Web>>, request: Request, next: Next) -> Response {
    let rules = web.rules();
    let peer = request.extensions().get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0);
    let is_health = path::is_health(request.uri().path());
    let refusal = if is_health { None } else { refuse(&web, &rules, request.headers(), peer).await };
    let mut response = match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    rules.add_headers(response.headers_mut());
    response
}

async fn refuse(web: &Web, rules: &Rules, headers: &HeaderMap, peer: IpAddr) -> Option<Response> {
    if !rules.allow() {
        return Some(line(StatusCode::TOO_MANY_REQUESTS, "more requests than `rate_limit` allows"));
    }
    match web.check(rules, headers, peer).await {
        Verdict::Good => None,
        Verdict::Busy => Some(line(StatusCode::SERVICE_UNAVAILABLE, "too many passwords wait to be checked")),
        Verdict::Bad => {
            let mut response = line(StatusCode::UNAUTHORIZED, "a user's name and password are needed");
            let realm = HeaderValue::from_static("Basic realm=\"mini-node-exporter\", charset=\"UTF-8\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            Some(response)
        }
    }
}
