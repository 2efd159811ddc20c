//! Access control from `--web.config.file`, in exporter-toolkit's format.
//!
//! A thread of its own looks at the file, and at those that it names, once a second: a read on a network file system can
//! hang. Files that changed and then stayed the same for a second are read again. An invalid configuration is logged
//! once, and the previous one stays in force.

mod client_certificates;
mod files;
mod format;
mod passwords;
mod problem;
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

use files::Files;
use format::Policy;
use passwords::Passwords;
pub use passwords::Verdict;
pub use problem::Problem;
use rate::Bucket;
use tls::Tls;

/// How often the files are looked at, and how long they must have stayed the same: they may be half written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A web configuration that follows its file.
pub struct WebConfig {
    rules: watch::Receiver<Arc<Rules>>,
    passwords: Passwords,
}

/// What is in force.
pub struct Rules {
    policy: Policy,
    tls: Option<Tls>,
    bucket: Option<Arc<Bucket>>,
}

impl WebConfig {
    /// Reads the file and those that it names, and follows them on a thread of its own. Relative paths are taken from the
    /// file's directory.
    ///
    /// # Errors
    ///
    /// Names what is invalid: the line, where it is one of the file.
    pub fn load(file: &Path) -> Result<Self, Problem> {
        let mut files = Files::new(std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()));
        let rules = Rules::read(&mut files)?;
        rules.warn();
        let (sender, rules) = watch::channel(Arc::new(rules));
        thread::Builder::new()
            .name("web-config".to_string())
            .spawn(move || follow(files, &sender))
            .map_err(|error| Problem::new(format!("cannot watch the file: cannot start thread: {error}")))?;
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
        self.passwords.check(&rules.policy.users, headers, peer).await
    }
}

/// Follows the files until nobody uses their configuration any more.
fn follow(mut files: Files, current: &watch::Sender<Arc<Rules>>) {
    let mut seen = files.state();
    loop {
        thread::park_timeout(LOOK_EVERY);
        if current.is_closed() {
            return;
        }
        let before = std::mem::replace(&mut seen, files.state());
        if seen != before || seen == files.read_state() {
            continue;
        }
        let mut again = Files::new(files.first().to_path_buf());
        let file = files.first().display();
        let rules = current.borrow().clone();
        match Rules::read(&mut again).and_then(|next| next.instead_of(&rules)) {
            Ok(rules) => {
                tracing::info!(%file, tls = rules.has_tls(), auth = rules.has_users(), "reloaded web configuration");
                rules.warn();
                current.send_replace(Arc::new(rules));
            }
            Err(problem) => {
                tracing::error!(%file, %problem, "invalid web configuration; keeping the previous one");
            }
        }
        files = again;
        seen = files.state();
    }
}

impl Rules {
    fn read(files: &mut Files) -> Result<Self, Problem> {
        let bytes = files.read_first().map_err(|error| Problem::new(error.to_string()))?;
        let policy = Policy::parse(std::str::from_utf8(&bytes).map_err(|_| Problem::new("not UTF-8"))?)?;
        let tls = policy.tls.as_ref().map(|tls| tls::server(tls, files)).transpose()?;
        let bucket = policy.rate.map(|rate| Arc::new(Bucket::new(rate)));
        Ok(Self { policy, tls, bucket })
    }

    /// Replaces `before`, or fails on a step-down.
    fn instead_of(mut self, before: &Self) -> Result<Self, Problem> {
        if let Some(what) = step_down::between(&before.policy, &self.policy) {
            return Err(Problem::new(format!("{what}; restart to apply it")));
        }
        // An unrelated change must not fill a bucket that was empty.
        if self.policy.rate == before.policy.rate {
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
        !self.policy.users.is_empty()
    }

    /// Counts a request; false if it exceeds the rate limit.
    #[must_use]
    pub fn allow(&self) -> bool {
        self.bucket.as_ref().is_none_or(|bucket| bucket.take())
    }

    /// Sets the headers that every answer carries.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        headers.extend(self.policy.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}
