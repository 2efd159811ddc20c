//! `--web.config.file`: who may connect and who may ask, in exporter-toolkit's format.
//!
//! The file, and those that it names, are looked at again when somebody connects or asks, once a second at most. What
//! has changed is read; where it is bad, what was in force before stays so, and the log has one line. Nothing that keeps
//! clients out can be removed like that: half a file, seen while it is written, would open the exporter to all.

mod clients;
mod config;
mod duration;
mod files;
mod passwords;
mod problem;
mod rate;
mod section;
mod step_down;
mod stream;
mod tls;
mod yaml;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;

use config::Config;
use files::Files;
use passwords::Passwords;
pub use passwords::Verdict;
pub use problem::Problem;
use rate::Bucket;
pub use stream::Stream;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who asks, as the server puts it among a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// A web configuration that follows its file.
pub struct Web {
    state: Mutex<State>,
    passwords: Passwords,
}

struct State {
    rules: Arc<Rules>,
    files: Files,
    looked: Instant,
}

/// What is in force.
pub struct Rules {
    config: Config,
    tls: Option<Arc<ServerConfig>>,
    bucket: Option<Arc<Bucket>>,
}

impl Web {
    /// Reads the file and those that it names. Other paths are taken from its directory.
    ///
    /// # Errors
    ///
    /// Names what cannot be served: the line, where it is one of the file.
    pub fn load(file: &Path) -> Result<Self, Problem> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
        let mut files = Files::new(file);
        let rules = Rules::read(&mut files)?;
        rules.warn();
        let state = State { rules: Arc::new(rules), files, looked: Instant::now() };
        Ok(Self { state: Mutex::new(state), passwords: Passwords::new()? })
    }

    /// What is in force now.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            state.follow();
        }
        Arc::clone(&state.rules)
    }

    /// Whether a request with these headers comes from a user, where there are any.
    pub async fn check(&self, rules: &Rules, headers: &HeaderMap, peer: IpAddr) -> Verdict {
        if !rules.has_users() {
            return Verdict::Good;
        }
        let Some((name, password)) = headers.get("authorization").and_then(credentials) else { return Verdict::Bad };
        self.passwords.check(&rules.config.users, peer, &name, &password).await
    }
}

impl State {
    fn follow(&mut self) {
        if !self.files.have_changed() {
            return;
        }
        let mut files = self.files.again();
        match Rules::read(&mut files).and_then(|rules| rules.instead_of(&self.rules)) {
            Ok(rules) => {
                let (file, tls, auth) = (files.first().display(), rules.has_tls(), rules.has_users());
                tracing::info!(%file, tls, auth, "web configuration has changed");
                rules.warn();
                self.rules = Arc::new(rules);
            }
            Err(problem) => {
                let file = files.first().display();
                tracing::error!(%file, %problem, "invalid web configuration; keeping the previous one");
            }
        }
        self.files = files;
    }
}

impl Rules {
    fn read(files: &mut Files) -> Result<Self, Problem> {
        let bytes = files.read(files.first().to_path_buf()).map_err(|error| Problem::new(error.to_string()))?;
        let config = Config::parse(std::str::from_utf8(&bytes).map_err(|_| Problem::new("not UTF-8"))?)?;
        let tls = config.tls.as_ref().map(|tls| tls::server(tls, files)).transpose()?;
        let bucket = config.rate.map(|rate| Arc::new(Bucket::new(rate)));
        Ok(Self { config, tls, bucket })
    }

    /// Takes the place of others, if it may.
    fn instead_of(mut self, before: &Self) -> Result<Self, Problem> {
        if let Some(what) = step_down::between(&before.config, &self.config) {
            return Err(Problem::new(format!("{what}; restart to apply it")));
        }
        // A bucket that was empty must not be filled by an unrelated change.
        if let (Some(new), Some(old)) = (&mut self.bucket, &before.bucket)
            && new.rate == old.rate
        {
            *new = Arc::clone(old);
        }
        Ok(self)
    }

    fn warn(&self) {
        if self.has_users() && !self.has_tls() {
            tracing::warn!("basic_auth_users without tls_server_config: passwords cross the network in plain");
        }
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

    /// Counts a request; false where it is one too many.
    #[must_use]
    pub fn allow(&self) -> bool {
        self.bucket.as_ref().is_none_or(|bucket| bucket.take())
    }

    /// Sets the headers that every answer carries.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.config.headers {
            headers.insert(name, value.clone());
        }
    }
}

/// The name and the password of `Basic` credentials.
fn credentials(value: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(decoded.get(..colon)?).ok()?;
    Some((name.to_string(), decoded.get(colon + 1..)?.to_vec()))
}
