//! HTTP as the harness needs it: every request has a deadline, and every error names the address.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::{Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, RequestBuilder};

use super::access::Access;

/// The deadline of one request.
const LIMIT: Duration = Duration::from_secs(5);

/// A server by its base address, such as `http://127.0.0.1:9090`.
#[derive(Clone)]
pub struct Server {
    base: String,
    agent: Agent,
    authorization: Option<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&self.base).finish()
    }
}

/// What a server answered, whatever its status.
#[derive(Debug)]
pub struct Answer {
    request: Request,
    pub status: StatusCode,
    pub body: String,
}

/// An answer with another status than success.
#[derive(Debug, thiserror::Error)]
#[error("{request}: {status}: {}", start(body))]
pub struct Refused {
    request: Request,
    pub status: StatusCode,
    pub body: String,
}

/// A request, for messages.
#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    url: String,
}

impl Server {
    /// One on this machine; nothing is asked yet.
    pub fn new(base: impl Into<String>) -> Self {
        Self::with_limit(base, LIMIT)
    }

    /// As [`Server::new`], with another deadline for each request.
    pub fn with_limit(base: impl Into<String>, limit: Duration) -> Self {
        // A proxy from the environment is for the outside.
        Self::of(base.into(), config(limit).proxy(None).build(), None)
    }

    /// One anywhere, that wants to see some credentials; reached as the environment says (`HTTPS_PROXY` and its like).
    pub fn elsewhere(base: &str, access: &Access) -> Self {
        let tls =
            access.tls.clone().unwrap_or_else(|| TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
        let config = config(LIMIT).tls_config(tls).build();
        Self::of(base.trim_end_matches('/').to_owned(), config, access.authorization.clone())
    }

    fn of(base: String, config: Config, authorization: Option<String>) -> Self {
        Self { base, agent: config.into(), authorization }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Asks for a path. The parameters are encoded here.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let request = Request { method: "GET", url: format!("{}{path}", self.base) };
        let sent = self.authorized(self.agent.get(&request.url)).query_pairs(parameters.iter().copied()).call();
        request.read(sent)
    }

    /// Sends a JSON document to a path.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = Request { method: "POST", url: format!("{}{path}", self.base) };
        let sent = self.authorized(self.agent.post(&request.url)).send_json(body);
        request.read(sent)
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(value) => request.header("Authorization", value),
            None => request,
        }
    }
}

impl Answer {
    /// The body of a success.
    pub fn text(self) -> Result<String, Refused> {
        let Self { request, status, body } = self;
        if status.is_success() { Ok(body) } else { Err(Refused { request, status, body }) }
    }

    /// The parsed body of a success.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let (request, status) = (self.request.clone(), self.status);
        let body = self.text()?;
        serde_json::from_str(&body)
            .with_context(|| format!("{request}: {status}, but not as expected: {}", start(&body)))
    }
}

impl Request {
    fn read(self, answer: Result<Response<Body>, ureq::Error>) -> Result<Answer> {
        let mut answer = answer.with_context(|| self.to_string())?;
        let body = answer.body_mut().read_to_vec().with_context(|| self.to_string())?;
        Ok(Answer { status: answer.status(), body: String::from_utf8_lossy(&body).into_owned(), request: self })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

fn config(limit: Duration) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        // Where a server sends whoever it does not admit is an answer to show, not to follow.
        .max_redirects(0)
        .max_redirects_will_error(false)
}

/// As much of a body as fits a message.
fn start(body: &str) -> String {
    body.trim().chars().take(200).collect()
}
