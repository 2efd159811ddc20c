//! Access control from `--web.config.file`, in exporter-toolkit's format.
//!
//! A thread of its own checks the file, and those that it names, once a second: a read on a network file system can
//! hang. Files that changed and then stayed the same for a second are read again. An invalid configuration is logged
//! once, and the previous one stays in force.

mod client_certificates;
mod error;
mod files;
mod format;
mod passwords;
mod rate;
mod section;
mod step_down;
mod tls;
mod yaml;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::http::HeaderMap;
use rustls::ServerConfig;
use tokio::sync::watch;

pub use error::ConfigError;
use files::WatchedFiles;
use format::ConfigFile;
use passwords::Passwords;
pub use passwords::Verdict;
use rate::TokenBucket;
use tls::ServerTls;

/// How often the files are checked, and how long they must have stayed the same: they may be half written.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// A web configuration that follows its file.
pub struct WebConfig {
    rules: watch::Receiver<Arc<Rules>>,
    passwords: Passwords,
}

/// What is in force.
pub struct Rules {
    config: ConfigFile,
    tls: Option<ServerTls>,
    bucket: Option<Arc<TokenBucket>>,
}

impl WebConfig {
    /// Reads the file and those that it names, and follows them on a thread of its own. Relative paths are taken from the
    /// file's directory.
    ///
    /// # Errors
    ///
    /// Names what is invalid: the line, where it is one of the file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let mut files = WatchedFiles::new(std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()));
        let rules = Rules::read(&mut files)?;
        rules.warn();
        let (sender, rules) = watch::channel(Arc::new(rules));
        thread::Builder::new()
            .name("web-config".to_string())
            .spawn(move || follow(files, &sender))
            .map_err(|error| ConfigError::new(format!("cannot watch the file: cannot start thread: {error}")))?;
        Ok(Self { rules, passwords: Passwords::new()? })
    }

    /// What is in force now.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.borrow())
    }

    /// Returns a receiver of what is in force now and later.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Rules>> {
        let mut rules = self.rules.clone();
        rules.mark_unchanged();
        rules
    }

    /// Whether a request with these headers comes from a user, where there are any.
    pub async fn check(&self, rules: &Rules, headers: &HeaderMap, peer: IpAddr) -> Verdict {
        if !rules.has_users() {
            return Verdict::Good;
        }
        self.passwords.check(&rules.config.users, headers, peer).await
    }
}

/// Follows the files while their configuration is used.
fn follow(mut files: WatchedFiles, current: &watch::Sender<Arc<Rules>>) {
    let mut seen = files.fingerprints();
    loop {
        thread::park_timeout(CHECK_EVERY);
        if current.is_closed() {
            return;
        }
        let before = std::mem::replace(&mut seen, files.fingerprints());
        if seen != before || seen == files.fingerprints_when_read() {
            continue;
        }
        let mut again = WatchedFiles::new(files.first().to_path_buf());
        let file = files.first().display();
        let rules = current.borrow().clone();
        match Rules::read(&mut again).and_then(|next| next.instead_of(&rules)) {
            Ok(rules) => {
                tracing::info!(%file, tls = rules.has_tls(), auth = rules.has_users(), "reloaded web configuration");
                rules.warn();
                current.send_replace(Arc::new(rules));
            }
            Err(error) => {
                tracing::error!(%file, %error, "invalid web configuration; keeping the previous one");
            }
        }
        files = again;
        seen = files.fingerprints();
    }
}

impl Rules {
    fn read(files: &mut WatchedFiles) -> Result<Self, ConfigError> {
        let bytes = files.read_first().map_err(|error| ConfigError::new(error.to_string()))?;
        let config = ConfigFile::parse(std::str::from_utf8(&bytes).map_err(|_| ConfigError::new("not UTF-8"))?)?;
        let tls = config.tls.as_ref().map(|tls| tls::server(tls, files)).transpose()?;
        let bucket = config.rate.map(|rate| Arc::new(TokenBucket::new(rate)));
        Ok(Self { config, tls, bucket })
    }

    /// Replaces `before`, or fails on a step-down.
    fn instead_of(mut self, before: &Self) -> Result<Self, ConfigError> {
        if let Some(what) = step_down::between(&before.config, &self.config) {
            return Err(ConfigError::new(format!("{what}; restart to apply it")));
        }
        // An unrelated change must not fill a bucket that was empty.
        if self.config.rate == before.config.rate {
            self.bucket.clone_from(&before.bucket);
        }
        Ok(self)
    }

    fn warn(&self) {
        if self.has_users() && !self.has_tls() {
            tracing::warn!("basic_auth_users without tls_server_config: passwords are sent in plain text");
        }
    }

    /// The TLS that clients speak, if they do.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.as_ref().map(|tls| Arc::clone(&tls.server))
    }

    /// When the exporter's certificate expires, since 1970; `None` without TLS.
    #[must_use]
    pub fn not_after(&self) -> Option<Duration> {
        self.tls.as_ref()?.not_after
    }

    /// Whether clients speak TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether clients need a password.
    #[must_use]
    pub fn has_users(&self) -> bool {
        !self.config.users.is_empty()
    }

    /// Counts a request; false if it exceeds the rate limit.
    #[must_use]
    pub fn allow(&self) -> bool {
        self.bucket.as_ref().is_none_or(|bucket| bucket.take())
    }

    /// Sets the headers that every answer carries.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        headers.extend(self.config.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}
