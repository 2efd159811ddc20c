//! Access control from `--web.config.file`, in exporter-toolkit's format.
//!
//! A thread of its own checks the file, and those that it names, once a second: a read on a network file system can
//! hang. Files that changed and then stayed the same for a second are read again. An invalid configuration is logged
//! once, and the previous one stays active.

mod client_certificates;
mod downgrade;
mod error;
mod files;
mod format;
mod passwords;
mod rate;
mod section;
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
use format::ParsedWebConfig;
pub use passwords::AuthOutcome;
use passwords::PasswordChecker;
use rate::TokenBucket;
use tls::LoadedTls;

/// How often the files are checked, and how long they must have stayed the same: they may be half written.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Follows the file of a web configuration, and reloads it.
pub struct WebConfigWatcher {
    active: watch::Receiver<Arc<ActiveWebConfig>>,
    passwords: PasswordChecker,
}

/// The active configuration.
pub struct ActiveWebConfig {
    config: ParsedWebConfig,
    tls: Option<LoadedTls>,
    bucket: Option<Arc<TokenBucket>>,
}

impl WebConfigWatcher {
    /// Reads the file and those that it names, and follows them on a thread of its own. Relative paths are taken from the
    /// file's directory.
    ///
    /// # Errors
    ///
    /// Names what is invalid: the line, where it is one of the file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let mut files = WatchedFiles::new(std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()));
        let active = ActiveWebConfig::read(&mut files)?;
        active.warn();
        let (sender, active) = watch::channel(Arc::new(active));
        thread::Builder::new()
            .name("web-config".to_string())
            .spawn(move || follow(files, &sender))
            .map_err(|error| ConfigError::new(format!("cannot watch the file: cannot start thread: {error}")))?;
        Ok(Self { active, passwords: PasswordChecker::new()? })
    }

    /// Returns the active configuration.
    #[must_use]
    pub fn active(&self) -> Arc<ActiveWebConfig> {
        Arc::clone(&self.active.borrow())
    }

    /// Returns a receiver of the active configuration and of those that replace it.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<ActiveWebConfig>> {
        let mut active = self.active.clone();
        active.mark_unchanged();
        active
    }

    /// Checks Basic credentials; `Good` when no users are configured.
    pub async fn check(&self, active: &ActiveWebConfig, headers: &HeaderMap, peer: IpAddr) -> AuthOutcome {
        if !active.has_users() {
            return AuthOutcome::Good;
        }
        self.passwords.check(&active.config.users, headers, peer).await
    }
}

/// Follows the files until the configuration is dropped.
fn follow(mut files: WatchedFiles, current: &watch::Sender<Arc<ActiveWebConfig>>) {
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
        let before = current.borrow().clone();
        match ActiveWebConfig::read(&mut again).and_then(|next| next.instead_of(&before)) {
            Ok(active) => {
                tracing::info!(%file, tls = active.has_tls(), auth = active.has_users(), "reloaded web configuration");
                active.warn();
                current.send_replace(Arc::new(active));
            }
            Err(error) => {
                tracing::error!(%file, %error, "invalid web configuration; keeping the previous one");
            }
        }
        files = again;
        seen = files.fingerprints();
    }
}

impl ActiveWebConfig {
    fn read(files: &mut WatchedFiles) -> Result<Self, ConfigError> {
        let bytes = files.read_first().map_err(|error| ConfigError::new(error.to_string()))?;
        let config = ParsedWebConfig::parse(std::str::from_utf8(&bytes).map_err(|_| ConfigError::new("not UTF-8"))?)?;
        let tls = config.tls.as_ref().map(|tls| tls::load(tls, files)).transpose()?;
        let bucket = config.rate.map(|rate| Arc::new(TokenBucket::new(rate)));
        Ok(Self { config, tls, bucket })
    }

    /// Replaces `before`, or fails on a downgrade.
    fn instead_of(mut self, before: &Self) -> Result<Self, ConfigError> {
        if let Some(what) = downgrade::between(&before.config, &self.config) {
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

    /// Returns the rustls configuration; `None` for plain HTTP.
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
