//! Credentials and certificates for servers. The file is Prometheus' own HTTP client configuration, as `promtool --http.config.file` takes it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fs_err as fs;
use rustls::ClientConfig;
use serde::Deserialize;

use super::tls::{self, Identity};

/// How a server is asked. Its `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct Access {
    /// The value of the header `Authorization`.
    pub(super) authorization: Option<String>,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    /// With a token, such as one of a Grafana service account.
    pub fn token(token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), tls: None }
    }

    /// Reads a file. An unsupported key is an error that names it; no error shows a value.
    pub fn read(file: &Path) -> Result<Self> {
        let context = || format!("--http.config.file {}", file.display());
        let text = fs::read_to_string(file).context("--http.config.file")?;
        // The parser's own error would show the line, and with it what may be a secret.
        let config: Config =
            serde_saphyr::from_str(&text).map_err(|error| without_values(&error)).with_context(context)?;
        // Files in it are relative to it, as Prometheus has it.
        let dir = file.parent().unwrap_or(Path::new("."));
        config.access(dir).with_context(context)
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
    bearer_token: Option<String>,
    bearer_token_file: Option<PathBuf>,
    #[serde(rename = "tls_config")]
    tls: Option<Tls>,
    // Without effect: this client follows no redirects and has no HTTP/2.
    #[serde(rename = "follow_redirects")]
    _follow_redirects: Option<bool>,
    #[serde(rename = "enable_http2")]
    _enable_http2: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicAuth {
    username: Option<String>,
    username_file: Option<PathBuf>,
    password: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authorization {
    #[serde(rename = "type")]
    kind: Option<String>,
    credentials: Option<String>,
    credentials_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    ca: Option<String>,
    ca_file: Option<PathBuf>,
    cert: Option<String>,
    cert_file: Option<PathBuf>,
    key: Option<String>,
    key_file: Option<PathBuf>,
    #[serde(default)]
    insecure_skip_verify: bool,
}

impl Config {
    fn access(self, dir: &Path) -> Result<Access> {
        let basic = self.basic_auth.map(|basic| basic.header(dir)).transpose()?;
        let typed = self.authorization.map(|authorization| authorization.header(dir)).transpose()?;
        let bearer = one(dir, "bearer_token", self.bearer_token, self.bearer_token_file)?;
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let mut given = [basic, typed, bearer].into_iter().flatten();
        let authorization = given.next();
        ensure!(given.next().is_none(), "only one of `basic_auth`, `authorization` and `bearer_token` can be used");
        Ok(Access { authorization, tls: self.tls.map(|tls| tls.config(dir)).transpose()? })
    }
}

impl BasicAuth {
    fn header(self, dir: &Path) -> Result<String> {
        let user =
            one(dir, "username", self.username, self.username_file)?.context("`basic_auth` has no `username`")?;
        let password = one(dir, "password", self.password, self.password_file)?.unwrap_or_default();
        Ok(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
    }
}

impl Authorization {
    fn header(self, dir: &Path) -> Result<String> {
        let credentials = one(dir, "credentials", self.credentials, self.credentials_file)?;
        let credentials = credentials.context("`authorization` has no `credentials`")?;
        Ok(format!("{} {credentials}", self.kind.as_deref().unwrap_or("Bearer")))
    }
}

impl Tls {
    fn config(self, dir: &Path) -> Result<Arc<ClientConfig>> {
        let ca = one(dir, "ca", self.ca, self.ca_file)?;
        let cert = one(dir, "cert", self.cert, self.cert_file)?;
        let identity = match (cert, one(dir, "key", self.key, self.key_file)?) {
            (Some(cert), Some(key)) => Some(Identity { cert, key }),
            (None, None) => None,
            _ => bail!("`cert` and `key` must be set together"),
        };
        tls::config(ca.as_deref(), identity.as_ref(), self.insecure_skip_verify)
    }
}

/// A value that stands in the configuration, or in a file that it names.
fn one(dir: &Path, key: &str, value: Option<String>, file: Option<PathBuf>) -> Result<Option<String>> {
    match (value, file) {
        (Some(_), Some(_)) => bail!("both `{key}` and `{key}_file` are set"),
        (Some(value), None) => Ok(Some(value)),
        (None, Some(file)) => {
            let file = dir.join(file);
            let text = fs::read_to_string(&file).with_context(|| format!("`{key}_file`"))?;
            Ok(Some(text.trim().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// What is wrong and where, without the text around it.
fn without_values(error: &serde_saphyr::Error) -> anyhow::Error {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    anyhow::anyhow!("not an HTTP client configuration that `lab` can use: {first}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Access> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "s3cret\n").unwrap();
        let file = dir.path().join("http.yml");
        fs::write(&file, text).unwrap();
        Access::read(&file)
    }

    fn header(text: &str) -> String {
        read(text).unwrap().authorization.unwrap_or_default()
    }

    #[test]
    fn credentials_become_a_header_wherever_they_stand() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode("u:s3cret"));
        assert_eq!(header("basic_auth: {username: u, password: s3cret}"), basic);
        assert_eq!(header("basic_auth: {username: u, password_file: secret}"), basic);
        assert_eq!(header("authorization: {credentials_file: secret}"), "Bearer s3cret");
        assert_eq!(header("authorization: {type: Token, credentials: x}"), "Token x");
        assert_eq!(header("bearer_token: x\nfollow_redirects: true"), "Bearer x");
        assert_eq!(header("{}"), "");
    }

    #[test]
    fn what_cannot_be_used_is_named_and_no_secret_is_shown() {
        for (text, said) in [
            ("oauth2: {client_secret: s3cret}", "oauth2"),
            ("basic_auth: {username: u, pasword: s3cret}", "pasword"),
            ("basic_auth: {password: s3cret}", "no `username`"),
            ("basic_auth: {username: u}\nbearer_token: s3cret", "only one of"),
            ("authorization: {credentials: s3cret, credentials_file: secret}", "both `credentials` and"),
            ("authorization: {credentials_file: nowhere}", "nowhere"),
            ("tls_config: {ca_file: secret}", "`ca` holds no certificate"),
            ("tls_config: {cert: s3cret}", "must be set together"),
            ("tls_config: {server_name: x}", "server_name"),
            ("bearer_token: [s3cret]", "http.yml"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(said) && !error.contains("s3cret"), "{text}: {error}");
        }
        assert_eq!(format!("{:?}", read("bearer_token: s3cret").unwrap()), "Access");
    }
}
