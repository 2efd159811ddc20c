//! The format of the file: exporter-toolkit's, key by key.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use bcrypt::HashParts;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{self, cipher_suite, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::duration;
use super::problem::Problem;
use super::section::{Section, mapping};
use super::yaml::{self, Entry, Node, Value};

/// What a file says. Nothing that it names has been read yet.
#[derive(Default)]
pub(super) struct Config {
    pub(super) tls: Option<Tls>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Vec<User>,
    pub(super) rate: Option<Rate>,
}

pub(super) struct Tls {
    pub(super) cert: Pem,
    pub(super) key: Pem,
    pub(super) client_ca: Option<Pem>,
    pub(super) client_auth: ClientAuth,
    pub(super) allowed_sans: Option<Vec<String>>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) suites: Option<Vec<SupportedCipherSuite>>,
    pub(super) curves: Option<Vec<&'static dyn SupportedKxGroup>>,
}

impl Tls {
    pub(super) fn suites(&self) -> Vec<SupportedCipherSuite> {
        self.suites.clone().unwrap_or_else(|| ring::default_provider().cipher_suites)
    }

    pub(super) fn curves(&self) -> Vec<&'static dyn SupportedKxGroup> {
        self.curves.clone().unwrap_or_else(|| ring::default_provider().kx_groups)
    }
}

/// Where a certificate or a key is, and the key in the file that says so.
pub(super) enum Pem {
    Inline(&'static str, String),
    File(&'static str, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    None,
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

#[derive(Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) hash: String,
    /// The logarithm of how long a check takes.
    pub(super) cost: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

const TLS: &str = "tls_server_config";
const HTTP: &str = "http_server_config";
const USERS: &str = "basic_auth_users";
const RATE: &str = "rate_limit";

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let root = Section::new("", yaml::parse(text)?, &[TLS, HTTP, USERS, RATE])?;
        let Some(mut root) = root else { return Ok(Self::default()) };
        Ok(Self {
            tls: root.take(TLS).map(tls).transpose()?.flatten(),
            headers: root.take(HTTP).map(headers).transpose()?.unwrap_or_default(),
            users: root.take(USERS).map(users).transpose()?.unwrap_or_default(),
            rate: root.take(RATE).map(rate).transpose()?.flatten(),
        })
    }
}

fn tls(node: Node) -> Result<Option<Tls>, Problem> {
    let line = node.line;
    let known = [
        "cert_file",
        "cert",
        "key_file",
        "key",
        "client_ca_file",
        "client_ca",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "curve_preferences",
        "prefer_server_cipher_suites",
    ];
    let Some(mut section) = Section::new(TLS, node, &known)? else { return Ok(None) };
    if section.is_empty() {
        return Ok(None);
    }
    if section.boolean("prefer_server_cipher_suites")?.is_some() {
        tracing::debug!("prefer_server_cipher_suites changes nothing: every cipher suite here is a good one");
    }
    let client_auth = client_auth(&mut section)?;
    let cert = pem(&mut section, "cert_file", "cert")?;
    let key = pem(&mut section, "key_file", "key")?;
    let client_ca = pem(&mut section, "client_ca_file", "client_ca")?;
    let allowed_sans = section.texts("client_allowed_sans")?;
    let (versions, suites, curves) = (versions(&mut section)?, suites(&mut section)?, curves(&mut section)?);
    let refuse = |what: &str| Err(Problem::at(line, format!("{TLS}: {what}")));
    let Some(cert) = cert else { return refuse("one of cert_file and cert is missing") };
    let Some(key) = key else { return refuse("one of key_file and key is missing") };
    if client_ca.is_some() && client_auth == ClientAuth::None {
        return refuse("a client CA without client_auth_type would verify nobody");
    }
    if client_ca.is_none() && client_auth == ClientAuth::RequireAndVerify {
        return refuse("RequireAndVerifyClientCert needs client_ca_file or client_ca: there are no system CAs to use");
    }
    let allowed_sans = allowed_sans.map(|sans| sans.into_iter().map(|(_, san)| san).collect::<Vec<_>>());
    match &allowed_sans {
        Some(sans) if sans.is_empty() => return refuse("an empty client_allowed_sans would let nobody in"),
        Some(_) if !matches!(client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify) => {
            return refuse(
                "client_allowed_sans needs client_auth_type RequireAnyClientCert or RequireAndVerifyClientCert",
            );
        }
        _ => {}
    }
    Ok(Some(Tls { cert, key, client_ca, client_auth, allowed_sans, versions, suites, curves }))
}

/// Of the two, the file's name wins, as it does for exporter-toolkit.
fn pem(section: &mut Section, file: &'static str, inline: &'static str) -> Result<Option<Pem>, Problem> {
    let (path, text) = (section.text(file)?, section.text(inline)?);
    Ok(path.map(|(_, path)| Pem::File(file, path)).or(text.map(|(_, text)| Pem::Inline(inline, text))))
}

fn client_auth(section: &mut Section) -> Result<ClientAuth, Problem> {
    let Some((line, name)) = section.text("client_auth_type")? else { return Ok(ClientAuth::None) };
    Ok(match name.as_str() {
        "NoClientCert" => ClientAuth::None,
        "RequestClientCert" => ClientAuth::Request,
        // The second is what the first was called in the format's first days.
        "RequireAnyClientCert" | "RequireClientCert" => ClientAuth::RequireAny,
        "VerifyClientCertIfGiven" => ClientAuth::VerifyIfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerify,
        _ => {
            let known = "NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, \
                         RequireAndVerifyClientCert";
            return Err(unknown(line, "client_auth_type", &name, known));
        }
    })
}

fn versions(section: &mut Section) -> Result<Vec<&'static SupportedProtocolVersion>, Problem> {
    let mut number = |key: &'static str, default: u16| match section.text(key)? {
        None => Ok(default),
        Some((line, name)) => match name.as_str() {
            "TLS13" => Ok(13),
            "TLS12" => Ok(12),
            "TLS11" | "TLS10" => {
                Err(cannot(line, key, &name, "only TLS12 and TLS13 are safe, and there is no code here for others"))
            }
            _ => Err(unknown(line, key, &name, "TLS12, TLS13")),
        },
    };
    let range = number("min_version", 12)?..=number("max_version", 13)?;
    let all = [(13, &version::TLS13), (12, &version::TLS12)];
    let versions: Vec<_> = all.into_iter().filter(|(number, _)| range.contains(number)).map(|(_, it)| it).collect();
    if versions.is_empty() {
        return Err(Problem::new(format!("{TLS}: min_version is above max_version")));
    }
    Ok(versions)
}

/// Those of TLS 1.3 are always on, as they are in Go.
fn suites(section: &mut Section) -> Result<Option<Vec<SupportedCipherSuite>>, Problem> {
    const KEY: &str = "cipher_suites";
    let tls13 = [
        ("TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
        ("TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
        ("TLS_CHACHA20_POLY1305_SHA256", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    ];
    let tls12 = [
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ];
    let Some(names) = section.texts(KEY)?.filter(|names| !names.is_empty()) else { return Ok(None) };
    let mut chosen: Vec<_> = tls13.map(|(_, suite)| suite).to_vec();
    for (line, name) in names {
        match tls12.iter().find(|(known, _)| *known == name) {
            Some((_, suite)) => chosen.push(*suite),
            None if tls13.iter().any(|(known, _)| *known == name) => {}
            None if name.starts_with("TLS_") && (name.contains("_CBC_") || name.starts_with("TLS_RSA_")) => {
                return Err(cannot(line, KEY, &name, "it is unsafe, and there is no code here for it"));
            }
            None => return Err(unknown(line, KEY, &name, &tls12.map(|(name, _)| name).join(", "))),
        }
    }
    Ok(Some(chosen))
}

fn curves(section: &mut Section) -> Result<Option<Vec<&'static dyn SupportedKxGroup>>, Problem> {
    const KEY: &str = "curve_preferences";
    let Some(names) = section.texts(KEY)?.filter(|names| !names.is_empty()) else { return Ok(None) };
    let curve = |(line, name): (usize, String)| match name.as_str() {
        "X25519" => Ok(kx_group::X25519),
        "CurveP256" => Ok(kx_group::SECP256R1),
        "CurveP384" => Ok(kx_group::SECP384R1),
        "CurveP521" => Err(cannot(line, KEY, &name, "there is no code here for it")),
        _ => Err(unknown(line, KEY, &name, "X25519, CurveP256, CurveP384")),
    };
    names.into_iter().map(curve).collect::<Result<_, _>>().map(Some)
}

fn headers(node: Node) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
    const KNOWN: [&str; 5] = [
        "Content-Security-Policy",
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "X-XSS-Protection",
    ];
    let Some(mut section) = Section::new(HTTP, node, &["http2", "headers"])? else { return Ok(Vec::new()) };
    // HTTP/2 is offered to a client, never forced on it, so that nobody misses it.
    section.boolean("http2")?;
    let Some(node) = section.take("headers") else { return Ok(Vec::new()) };
    let Some(mut section) = Section::new("headers", node, &KNOWN)? else { return Ok(Vec::new()) };
    let mut headers = Vec::new();
    for name in KNOWN {
        let Some((line, value)) = section.text(name)? else { continue };
        let allowed: &[&str] = match name {
            "X-Content-Type-Options" => &["nosniff"],
            "X-Frame-Options" => &["deny", "sameorigin"],
            _ => &[],
        };
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            return Err(unknown(line, name, &value, &allowed.join(", ")));
        }
        let value = HeaderValue::from_str(&value)
            .map_err(|_| Problem::at(line, format!("{name} holds a control character")))?;
        headers.push((HeaderName::from_bytes(name.as_bytes()).map_err(|_| Problem::at(line, "not a header"))?, value));
    }
    Ok(headers)
}

fn users(node: Node) -> Result<Vec<User>, Problem> {
    let mut users = Vec::new();
    for Entry { line, key: name, node } in mapping(USERS, node)?.unwrap_or_default() {
        let refuse = |what: &str| Err(Problem::at(line, format!("{USERS}: {what}")));
        if name.is_empty() || name.contains(|letter: char| letter == ':' || letter.is_control()) {
            return refuse(
                "a user's name is empty, or has a colon or a control character in it, and no client could send it",
            );
        }
        let Value::Text(hash) = node.value else { return refuse("a user has no password hash") };
        match hash.parse::<HashParts>() {
            Ok(parts) if (4..=31).contains(&parts.get_cost()) => {
                users.push(User { name, hash, cost: parts.get_cost() });
            }
            _ => return refuse("a user's password is not a bcrypt hash, such as `htpasswd -nBC 10 USER` prints"),
        }
    }
    Ok(users)
}

fn rate(node: Node) -> Result<Option<Rate>, Problem> {
    let line = node.line;
    let Some(mut section) = Section::new(RATE, node, &["interval", "burst"])? else { return Ok(None) };
    let (interval, burst) = (section.text("interval")?, section.text("burst")?);
    let interval = match interval {
        None => Duration::ZERO,
        Some((line, text)) => duration::parse(&text).ok_or_else(|| {
            Problem::at(line, format!("interval in {RATE} is not a duration, such as 500ms or 1m30s"))
        })?,
    };
    let burst = match burst {
        None => 0,
        Some((line, text)) => {
            text.parse::<u32>().map_err(|_| Problem::at(line, format!("burst in {RATE} is not a count, such as 10")))?
        }
    };
    if interval.is_zero() {
        return Ok(None);
    }
    if burst == 0 {
        return Err(Problem::at(line, format!("{RATE}: a burst of 0 would let no request through")));
    }
    Ok(Some(Rate { interval, burst }))
}

fn unknown(line: usize, key: &str, value: &str, known: &str) -> Problem {
    Problem::at(line, format!("{key}: unknown value `{}`; known are {known}", value.escape_debug()))
}

fn cannot(line: usize, key: &str, value: &str, reason: &str) -> Problem {
    Problem::at(line, format!("{key}: {value} cannot be served: {reason}"))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
