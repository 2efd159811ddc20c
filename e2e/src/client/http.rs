//! HTTP as the harness needs it: every request has a deadline, every error names the address, and loopback is never
//! reached through a proxy.

use std::fmt;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, anyhow, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::config::ConfigBuilder;
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
use ureq::{Agent, Body, Proxy, RequestBuilder};

use super::access::Access;
use super::tls::Tls;
use crate::terminal::out;
use crate::wait::poll;

/// The deadline of one request; `LAB_PATIENCE` extends it.
const LIMIT: Duration = Duration::from_secs(5);

/// The largest body that is read: Prometheus describes 3,000 targets in 16 MB.
const LARGEST: u64 = 512 << 20;

/// A server by its base address, such as `http://127.0.0.1:9090`.
#[derive(Clone)]
pub struct Server {
    base: String,
    agent: Agent,
    proxy: Option<Proxy>,
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
    /// The header `Content-Type`, empty where there is none.
    pub content_type: String,
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
    proxy: Option<String>,
}

impl Server {
    /// One on this machine; nothing is asked yet.
    pub fn new(base: impl Into<String>) -> Self {
        Self::with_limit(base, LIMIT)
    }

    /// As [`Server::new`], with another deadline for each request.
    pub fn with_limit(base: impl Into<String>, limit: Duration) -> Self {
        Self::of(base.into(), config(limit), &Access::default())
    }

    /// One anywhere, that may require credentials; reached through the proxy that the environment names for it.
    pub fn elsewhere(base: &str, access: &Access) -> Self {
        Self::of(base.trim_end_matches('/').to_owned(), config(LIMIT), access)
    }

    fn of(base: String, config: ConfigBuilder<AgentScope>, access: &Access) -> Self {
        let proxy = proxy_for(&base);
        let config = config.proxy(proxy.clone()).tls_config(system_roots()).build();
        let agent = match &access.tls {
            None => config.into(),
            Some(tls) => {
                let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
                Agent::with_parts(config, connector.chain(Tls(Arc::clone(tls))), DefaultResolver::default())
            }
        };
        Self { base, agent, proxy, authorization: access.authorization.clone() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Asks for a path. The parameters are encoded here.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let request = self.request("GET", path);
        let sent = self.authorized(self.agent.get(&request.url)).query_pairs(parameters.iter().copied()).call();
        request.read(sent)
    }

    /// Asks for metrics, in Prometheus' text format where there is a choice.
    pub fn exposition(&self, path: &str) -> Result<Answer> {
        let request = self.request("GET", path);
        let accept = "text/plain;version=0.0.4,*/*;q=0.1";
        let sent = self.authorized(self.agent.get(&request.url)).header("Accept", accept).call();
        request.read(sent)
    }

    /// Sends a JSON document to a path.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let request = self.request("POST", path);
        let sent = self.authorized(self.agent.post(&request.url)).send_json(body);
        request.read(sent)
    }

    /// Sends bytes to a path, with these headers.
    pub fn post_bytes(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let request = self.request("POST", path);
        let new = self.authorized(self.agent.post(&request.url));
        let sent = headers.iter().fold(new, |new, (name, value)| new.header(*name, *value)).send(body);
        request.read(sent)
    }

    fn request(&self, method: &'static str, path: &str) -> Request {
        Request { method, url: format!("{}{path}", self.base), proxy: self.proxy.as_ref().map(named) }
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
        let Self { request, status, body, .. } = self;
        if status.is_success() { Ok(body) } else { Err(Refused { request, status, body }) }
    }

    /// The parsed body of a success.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        let Self { request, status, body, .. } = self;
        if status.is_success() { parse(&request, status, &body) } else { Err(Refused { request, status, body }.into()) }
    }

    /// The parsed body, whatever the status: Prometheus reports an invalid query so.
    pub fn json_of_any_status<T: DeserializeOwned>(&self) -> Result<T> {
        parse(&self.request, self.status, &self.body)
    }
}

fn parse<T: DeserializeOwned>(request: &Request, status: StatusCode, body: &str) -> Result<T> {
    serde_json::from_str(body).map_err(|_| anyhow!("{request}: {status}: unexpected body: {}", start(body)))
}

/// The content of a file at any address; redirects are followed, from `https` only to `https`.
pub fn open(url: &str) -> Result<impl Read> {
    let proxy = proxy_for(url);
    let request = Request { method: "GET", url: url.to_owned(), proxy: proxy.as_ref().map(named) };
    let limit = |seconds| Some(Duration::from_secs(seconds).mul_f64(poll::patience()));
    let config = Agent::config_builder().proxy(proxy).tls_config(system_roots()).https_only(url.starts_with("https:"));
    let config = config.timeout_connect(limit(5)).timeout_per_read(limit(120)).timeout_global(limit(600));
    let answer = Agent::from(config.http_status_as_error(false).build()).get(url).call();
    let answer = answer.map_err(|error| request.failed(&error))?;
    ensure!(answer.status().is_success(), "{request}: {}", answer.status());
    Ok(answer.into_body().into_reader())
}

impl Request {
    fn read(self, answer: Result<Response<Body>, ureq::Error>) -> Result<Answer> {
        let mut answer = answer.map_err(|error| self.failed(&error))?;
        let body = answer.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(|error| self.failed(&error))?;
        let content_type =
            answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Answer {
            status: answer.status(),
            content_type: content_type.to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
            request: self,
        })
    }

    fn failed(&self, error: &ureq::Error) -> Error {
        let hint = "; to trust the server's own certificate, list it as `ca_file` in `tls_config`";
        let hint = if error.to_string().contains("invalid peer certificate") { hint } else { "" };
        anyhow!("{error}{hint}").context(match &self.proxy {
            Some(proxy) => format!("{self} through the proxy {proxy}"),
            None => self.to_string(),
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

fn config(limit: Duration) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .timeout_global(Some(limit.mul_f64(poll::patience())))
        .http_status_as_error(false)
        // Reports a redirect to a login page instead of following it.
        .max_redirects(0)
        .max_redirects_will_error(false)
}

fn system_roots() -> TlsConfig {
    TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build()
}

/// The proxy that the environment names for an address; never one for this machine's own.
fn proxy_for(url: &str) -> Option<Proxy> {
    let uri: Uri = url.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    Proxy::try_from_env().filter(|proxy| !is_loopback && !proxy.is_no_proxy(&uri))
}

/// A proxy without its credentials.
fn named(proxy: &Proxy) -> String {
    format!("{}:{}", proxy.host(), proxy.port())
}

/// As much of a body as fits a message.
fn start(body: &str) -> String {
    out::plain(body.trim()).chars().take(200).collect()
}
