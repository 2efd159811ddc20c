//! The format of the file: exporter-toolkit's, key by key.

use axum::http::header::{
    CONTENT_SECURITY_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use axum::http::{HeaderName, HeaderValue};
use bcrypt::HashParts;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{self, cipher_suite, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::error::ConfigError;
use super::rate::RateLimit;
use super::section::{Section, TextAtLine};
use super::yaml;

/// What a file says. Nothing that it names has been read yet.
#[derive(Default)]
pub(super) struct ParsedWebConfig {
    pub(super) tls: Option<TlsConfig>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) users: Vec<User>,
    pub(super) rate: Option<RateLimit>,
}

pub(super) struct TlsConfig {
    pub(super) cert: PemSource,
    pub(super) key: PemSource,
    pub(super) client_ca: Option<PemSource>,
    pub(super) client_auth: ClientAuth,
    pub(super) allowed_sans: Option<Vec<String>>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    pub(super) suites: Vec<SupportedCipherSuite>,
    pub(super) curves: Vec<&'static dyn SupportedKxGroup>,
}

/// A certificate or a private key, as PEM text or as a path, with the name of the setting that gave it.
pub(super) enum PemSource {
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
    /// The base-2 logarithm of the work of a check.
    pub(super) cost: u32,
}

impl ParsedWebConfig {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let keys = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];
        let Some(mut file) = Section::new(yaml::parse(text)?, &keys)? else { return Ok(Self::default()) };
        let [tls_keys, http_keys, rate_keys]: [&[&str]; 3] = [&TLS_KEYS, &["http2", "headers"], &["interval", "burst"]];
        let users = file.section("basic_auth_users", &[])?;
        Ok(Self {
            tls: file.section("tls_server_config", tls_keys)?.map(tls).transpose()?,
            headers: file.section("http_server_config", http_keys)?.map_or(Ok(Vec::new()), headers)?,
            users: users.map_or(Ok(Vec::new()), |users| users.into_texts().map(|entry| user(entry?)).collect())?,
            rate: file.section("rate_limit", rate_keys)?.map_or(Ok(None), rate)?,
        })
    }
}

const TLS_KEYS: [&str; 13] = [
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

fn tls(mut section: Section) -> Result<TlsConfig, ConfigError> {
    let refuse = |what: &str| Err(ConfigError::new(format!("tls_server_config: {what}")));
    // Ignored: every supported suite is strong.
    section.check_boolean("prefer_server_cipher_suites")?;
    let client_auth = client_auth(section.text("client_auth_type")?)?;
    let client_ca = pem(&mut section, "client_ca_file", "client_ca")?;
    let allowed_sans = section.texts("client_allowed_sans")?;
    let allowed_sans = allowed_sans.map(|sans| sans.into_iter().map(|san| san.value).collect::<Vec<_>>());
    let versions = versions(section.text("min_version")?, section.text("max_version")?)?;
    let (suites, curves) = (suites(section.texts("cipher_suites")?)?, curves(section.texts("curve_preferences")?)?);
    let Some(cert) = pem(&mut section, "cert_file", "cert")? else {
        return refuse("cert_file or cert is missing");
    };
    let Some(key) = pem(&mut section, "key_file", "key")? else {
        return refuse("key_file or key is missing");
    };
    if versions.is_empty() {
        return refuse("min_version is above max_version");
    }
    if client_ca.is_some() && client_auth == ClientAuth::None {
        return refuse("a client CA requires client_auth_type, e.g. RequireAndVerifyClientCert");
    }
    if client_ca.is_none() && matches!(client_auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify) {
        return refuse("this client_auth_type requires client_ca_file or client_ca; system CAs are not used");
    }
    match &allowed_sans {
        Some(sans) if sans.is_empty() => return refuse("client_allowed_sans is empty"),
        Some(_) if !matches!(client_auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify) => {
            return refuse(
                "client_allowed_sans requires client_auth_type RequireAnyClientCert or RequireAndVerifyClientCert",
            );
        }
        _ => {}
    }
    Ok(TlsConfig { cert, key, client_ca, client_auth, allowed_sans, versions, suites, curves })
}

fn client_auth(name: Option<TextAtLine>) -> Result<ClientAuth, ConfigError> {
    const KNOWN: [(&str, ClientAuth); 6] = [
        ("NoClientCert", ClientAuth::None),
        ("RequestClientCert", ClientAuth::Request),
        ("RequireAnyClientCert", ClientAuth::RequireAny),
        // Its former name.
        ("RequireClientCert", ClientAuth::RequireAny),
        ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
        ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
    ];
    let Some(name) = name else { return Ok(ClientAuth::None) };
    let known = KNOWN.iter().find(|(known, _)| *known == name.value).map(|(_, auth)| *auth);
    known.ok_or_else(|| unknown(&name, "value", &KNOWN.map(|(known, _)| known).join(", ")))
}

/// Of the two, the file's name wins, as it does for exporter-toolkit.
fn pem(section: &mut Section, file: &'static str, inline: &'static str) -> Result<Option<PemSource>, ConfigError> {
    let (path, text) = (section.text(file)?, section.text(inline)?);
    Ok(path.map(|path| PemSource::File(file, path.value)).or(text.map(|text| PemSource::Inline(inline, text.value))))
}

fn versions(
    min: Option<TextAtLine>,
    max: Option<TextAtLine>,
) -> Result<Vec<&'static SupportedProtocolVersion>, ConfigError> {
    let number = |name: Option<TextAtLine>, default: u8| match name {
        None => Ok(default),
        Some(name) if name.value == "TLS12" => Ok(12),
        Some(name) if name.value == "TLS13" => Ok(13),
        Some(name) => Err(unknown(&name, "value", "TLS12, TLS13")),
    };
    let range = number(min, 12)?..=number(max, 13)?;
    let all = [(13, &version::TLS13), (12, &version::TLS12)];
    Ok(all.into_iter().filter(|(number, _)| range.contains(number)).map(|(_, version)| version).collect())
}

/// Those of TLS 1.2, by the names that Go gives them. rustls also names suites that it does not support.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Those of TLS 1.3 are always on, as they are in Go.
fn suites(names: Option<Vec<TextAtLine>>) -> Result<Vec<SupportedCipherSuite>, ConfigError> {
    const TLS13: [&str; 3] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
    let all = ring::default_provider().cipher_suites;
    let Some(names) = names.filter(|names| !names.is_empty()) else { return Ok(all) };
    let mut chosen: Vec<_> = all.into_iter().filter(|suite| suite.tls13().is_some()).collect();
    for name in names {
        match SUITES.iter().find(|(known, _)| *known == name.value) {
            Some((_, suite)) => chosen.push(*suite),
            None if TLS13.contains(&name.value.as_str()) => {}
            None => return Err(unknown(&name, "cipher suite", &SUITES.map(|(known, _)| known).join(", "))),
        }
    }
    Ok(chosen)
}

fn curves(names: Option<Vec<TextAtLine>>) -> Result<Vec<&'static dyn SupportedKxGroup>, ConfigError> {
    let curve = |name: TextAtLine| match name.value.as_str() {
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

fn headers(mut section: Section) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    // HTTP/2 is offered to a client, never forced on it, and this server does not offer it.
    section.check_boolean("http2")?;
    let Some(headers) = section.section("headers", &[])? else { return Ok(Vec::new()) };
    let is_given =
        |entry: &Result<(String, TextAtLine), ConfigError>| !matches!(entry, Ok((_, text)) if text.value.is_empty());
    headers.into_texts().filter(is_given).map(|entry| header(entry?)).collect()
}

fn header((name, value): (String, TextAtLine)) -> Result<(HeaderName, HeaderValue), ConfigError> {
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
        Err(_) => Err(ConfigError::at(value.line, format!("invalid {name}: control character"))),
    }
}

fn user((name, hash): (String, TextAtLine)) -> Result<User, ConfigError> {
    let line = hash.line;
    if name.is_empty() || name.contains(|letter: char| letter == ':' || letter.is_control()) {
        return Err(ConfigError::at(line, "invalid user name; must not be empty or contain `:` or control characters"));
    }
    match hash.value.parse::<HashParts>() {
        Ok(parts) if (4..=31).contains(&parts.get_cost()) => {
            Ok(User { name, hash: hash.value, cost: parts.get_cost() })
        }
        _ => Err(ConfigError::at(line, "invalid password hash; expected bcrypt, e.g. from `htpasswd -nBC 10 USER`")),
    }
}

/// An interval of 0 is no limit.
fn rate(mut section: Section) -> Result<Option<RateLimit>, ConfigError> {
    let (interval, burst) = (section.text("interval")?, section.text("burst")?);
    let burst = match &burst {
        None => 0,
        Some(text) => {
            text.value.parse().map_err(|_| ConfigError::at(text.line, "invalid burst; expected a count, e.g. 10"))?
        }
    };
    let Some(TextAtLine { line, value }) = interval else { return Ok(None) };
    match (super::rate::duration(&value), burst) {
        (None, _) => Err(ConfigError::at(line, "invalid duration; expected e.g. 500ms or 1m30s")),
        (Some(interval), _) if interval.is_zero() => Ok(None),
        (Some(_), 0) => Err(ConfigError::at(line, "rate_limit: burst is missing or 0; expected at least 1")),
        (Some(interval), burst) => Ok(Some(RateLimit { interval, burst })),
    }
}

fn unknown(value: &TextAtLine, what: &str, known: &str) -> ConfigError {
    ConfigError::at(value.line, format!("unknown {what}; expected one of {known}"))
}

#[cfg(test)]
mod tests;
