//! The format of the file: exporter-toolkit's, key by key.

use std::collections::BTreeMap;

use axum::http::header::{
    CONTENT_SECURITY_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use axum::http::{HeaderName, HeaderValue};
use bcrypt::HashParts;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{self, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};
use serde::Deserialize;
use serde_saphyr::{Options, Spanned};

use super::problem::Problem;
use super::rate::Rate;

/// What a file says. Nothing that it names has been read yet.
#[derive(Default)]
pub(super) struct Policy {
    pub(super) tls: Option<TlsPolicy>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Vec<User>,
    pub(super) rate: Option<Rate>,
}

pub(super) struct TlsPolicy {
    pub(super) cert: Pem,
    pub(super) key: Pem,
    pub(super) client_ca: Option<Pem>,
    pub(super) client_auth: ClientAuth,
    pub(super) allowed_sans: Option<Vec<String>>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) suites: Vec<SupportedCipherSuite>,
    pub(super) curves: Vec<&'static dyn SupportedKxGroup>,
}

/// Where a certificate or a key is, and the key in the file that says so.
pub(super) enum Pem {
    Inline(&'static str, String),
    File(&'static str, String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum ClientAuth {
    #[default]
    #[serde(rename = "NoClientCert", alias = "")]
    None,
    #[serde(rename = "RequestClientCert")]
    Request,
    /// The alias is what it was called in the format's first days.
    #[serde(rename = "RequireAnyClientCert", alias = "RequireClientCert")]
    RequireAny,
    #[serde(rename = "VerifyClientCertIfGiven")]
    VerifyIfGiven,
    #[serde(rename = "RequireAndVerifyClientCert")]
    RequireAndVerify,
}

#[derive(Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) hash: String,
    /// The base-2 logarithm of the work of a check.
    pub(super) cost: u32,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    tls_server_config: Option<TlsSection>,
    http_server_config: Option<HttpSection>,
    basic_auth_users: Option<BTreeMap<String, Spanned<String>>>,
    rate_limit: Option<RateSection>,
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsSection {
    cert_file: Option<String>,
    cert: Option<String>,
    key_file: Option<String>,
    key: Option<String>,
    client_ca_file: Option<String>,
    client_ca: Option<String>,
    client_auth_type: Option<ClientAuth>,
    client_allowed_sans: Option<Vec<String>>,
    min_version: Option<Version>,
    max_version: Option<Version>,
    cipher_suites: Option<Vec<Spanned<String>>>,
    curve_preferences: Option<Vec<Spanned<String>>>,
    /// Changes nothing: every cipher suite here is a good one.
    prefer_server_cipher_suites: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[allow(clippy::upper_case_acronyms)]
enum Version {
    TLS12,
    TLS13,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HttpSection {
    /// Changes nothing: HTTP/2 is offered to a client, never forced on it, and this server does not offer it.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: Option<BTreeMap<String, Spanned<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RateSection {
    interval: Option<Spanned<String>>,
    burst: Option<u32>,
}

impl Policy {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut options = Options::default();
        options.with_snippet = false;
        let file: Option<File> = serde_saphyr::from_str_with_options(text, options)?;
        let file = file.unwrap_or_default();
        let headers = file.http_server_config.and_then(|section| section.headers).unwrap_or_default();
        Ok(Self {
            tls: file.tls_server_config.filter(|section| *section != TlsSection::default()).map(tls).transpose()?,
            headers: headers.into_iter().map(header).collect::<Result<_, _>>()?,
            users: file.basic_auth_users.unwrap_or_default().into_iter().map(user).collect::<Result<_, _>>()?,
            rate: file.rate_limit.map(rate).transpose()?.flatten(),
        })
    }
}

fn tls(section: TlsSection) -> Result<TlsPolicy, Problem> {
    let refuse = |what: &str| Err(Problem::new(format!("tls_server_config: {what}")));
    let client_auth = section.client_auth_type.unwrap_or_default();
    let client_ca = pem("client_ca_file", section.client_ca_file, "client_ca", section.client_ca);
    let versions = versions(section.min_version, section.max_version);
    let Some(cert) = pem("cert_file", section.cert_file, "cert", section.cert) else {
        return refuse("cert_file or cert is missing");
    };
    let Some(key) = pem("key_file", section.key_file, "key", section.key) else {
        return refuse("key_file or key is missing");
    };
    if versions.is_empty() {
        return refuse("min_version is above max_version");
    }
    if client_ca.is_some() && client_auth == ClientAuth::None {
        return refuse("a client CA without client_auth_type would verify nobody");
    }
    if client_ca.is_none() && matches!(client_auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify) {
        return refuse("this client_auth_type needs client_ca_file or client_ca: there are no system CAs to use");
    }
    match &section.client_allowed_sans {
        Some(sans) if sans.is_empty() => return refuse("an empty client_allowed_sans would let nobody in"),
        Some(_) if !matches!(client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify) => {
            return refuse(
                "client_allowed_sans needs client_auth_type RequireAnyClientCert or RequireAndVerifyClientCert",
            );
        }
        _ => {}
    }
    let allowed_sans = section.client_allowed_sans;
    let (suites, curves) = (suites(section.cipher_suites)?, curves(section.curve_preferences)?);
    Ok(TlsPolicy { cert, key, client_ca, client_auth, allowed_sans, versions, suites, curves })
}

/// Of the two, the file's name wins, as it does for exporter-toolkit.
fn pem(file: &'static str, path: Option<String>, inline: &'static str, text: Option<String>) -> Option<Pem> {
    let given = |text: &String| !text.is_empty();
    let path = path.filter(given).map(|path| Pem::File(file, path));
    path.or_else(|| text.filter(given).map(|text| Pem::Inline(inline, text)))
}

fn versions(min: Option<Version>, max: Option<Version>) -> Vec<&'static SupportedProtocolVersion> {
    let range = min.unwrap_or(Version::TLS12)..=max.unwrap_or(Version::TLS13);
    let all = [(Version::TLS13, &version::TLS13), (Version::TLS12, &version::TLS12)];
    all.into_iter().filter(|(version, _)| range.contains(version)).map(|(_, version)| version).collect()
}

/// Those of TLS 1.3 are always on, as they are in Go.
fn suites(names: Option<Vec<Spanned<String>>>) -> Result<Vec<SupportedCipherSuite>, Problem> {
    let all = || ring::ALL_CIPHER_SUITES.iter().copied();
    let Some(names) = names.filter(|names| !names.is_empty()) else { return Ok(all().collect()) };
    let mut chosen: Vec<_> = all().filter(|suite| suite.tls13().is_some()).collect();
    for name in names {
        match all().find(|suite| name_of(*suite) == name.value) {
            Some(suite) if !chosen.contains(&suite) => chosen.push(suite),
            Some(_) => {}
            None => return Err(unknown(&name, "cipher suite", &all().map(name_of).collect::<Vec<_>>().join(", "))),
        }
    }
    Ok(chosen)
}

/// The name that Go gives it.
fn name_of(suite: SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1)
}

fn curves(names: Option<Vec<Spanned<String>>>) -> Result<Vec<&'static dyn SupportedKxGroup>, Problem> {
    let curve = |name: Spanned<String>| match name.value.as_str() {
        "X25519" => Ok(kx_group::X25519),
        "CurveP256" => Ok(kx_group::SECP256R1),
        "CurveP384" => Ok(kx_group::SECP384R1),
        _ => Err(unknown(&name, "curve", "X25519, CurveP256, CurveP384")),
    };
    match names.filter(|names| !names.is_empty()) {
        Some(names) => names.into_iter().map(curve).collect(),
        None => Ok(ring::default_provider().kx_groups),
    }
}

fn header((name, value): (String, Spanned<String>)) -> Result<(HeaderName, HeaderValue), Problem> {
    const KNOWN: [(&str, HeaderName, &[&str]); 5] = [
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY, &[]),
        ("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY, &[]),
        ("X-Content-Type-Options", X_CONTENT_TYPE_OPTIONS, &["nosniff"]),
        ("X-Frame-Options", X_FRAME_OPTIONS, &["deny", "sameorigin"]),
        ("X-XSS-Protection", X_XSS_PROTECTION, &[]),
    ];
    let Some((_, header, allowed)) = KNOWN.into_iter().find(|(known, ..)| *known == name) else {
        return Err(unknown(&value, "header", &KNOWN.map(|(known, ..)| known).join(", ")));
    };
    if !allowed.is_empty() && !allowed.contains(&value.value.as_str()) {
        return Err(unknown(&value, "value", &allowed.join(", ")));
    }
    match HeaderValue::from_str(&value.value) {
        Ok(value) => Ok((header, value)),
        Err(_) => Err(Problem::at(value.referenced.line(), format!("control character in {name}"))),
    }
}

fn user((name, hash): (String, Spanned<String>)) -> Result<User, Problem> {
    let line = hash.referenced.line();
    if name.is_empty() || name.contains(|letter: char| letter == ':' || letter.is_control()) {
        return Err(Problem::at(line, "invalid user name: empty, or with a colon or a control character"));
    }
    match hash.value.parse::<HashParts>() {
        Ok(parts) if (4..=31).contains(&parts.get_cost()) => {
            Ok(User { name, hash: hash.value, cost: parts.get_cost() })
        }
        _ => Err(Problem::at(line, "invalid password hash; expected bcrypt as of `htpasswd -nBC 10 USER`")),
    }
}

/// An interval of 0 is no limit.
fn rate(section: RateSection) -> Result<Option<Rate>, Problem> {
    let Some(interval) = section.interval else { return Ok(None) };
    let line = interval.referenced.line();
    match (super::rate::duration(&interval.value), section.burst.unwrap_or(0)) {
        (None, _) => Err(Problem::at(line, "invalid duration; expected e.g. 500ms or 1m30s")),
        (Some(interval), _) if interval.is_zero() => Ok(None),
        (Some(_), 0) => Err(Problem::at(line, "rate_limit: a burst of 0 would refuse every request")),
        (Some(interval), burst) => Ok(Some(Rate { interval, burst })),
    }
}

fn unknown(value: &Spanned<String>, what: &str, known: &str) -> Problem {
    Problem::at(value.referenced.line(), format!("unknown {what}; expected one of {known}"))
}

#[cfg(test)]
mod tests;
