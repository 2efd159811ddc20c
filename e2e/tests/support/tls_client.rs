//! What `scripts/certificates` makes, and curl with it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use e2e::process::command::Cmd;
use e2e::workspace;
use fs_err as fs;

/// What the server's certificate is for.
const NAME: &str = "mini-node-exporter";

/// Makes certificates, a password, and the exporter's configuration in a directory, anew if there are some.
pub fn make_certificates(dir: &Path) -> Result<()> {
    Cmd::new(workspace::root().join("scripts/certificates")).arg(dir).run()?;
    Ok(())
}

/// Whoever asks an exporter for its metrics with what is in such a directory.
pub struct Client<'c> {
    pub dir: &'c Path,
    /// The exporter's.
    pub address: &'c str,
}

impl Client<'_> {
    pub fn password(&self) -> Result<String> {
        Ok(fs::read_to_string(self.file("password"))?)
    }

    /// Asks with Prometheus' certificate: the status, and whether there were any.
    pub fn curl(&self, more: &[&str]) -> Result<(u16, bool)> {
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| self.file(name));
        self.curl_without_certificate(&[&["--cert", path(&certificate), "--key", path(&key)], more].concat())
    }

    pub fn curl_without_certificate(&self, more: &[&str]) -> Result<(u16, bool)> {
        let authority = self.file("ca.crt");
        let to = format!("::{}", self.address);
        let url = format!("https://{NAME}/metrics");
        let common = ["--silent", "--show-error", "--max-time", "10", "--noproxy", "*", "--connect-to", &to];
        let shown = ["--cacert", path(&authority), "--write-out", "\n%{http_code}", &url];
        let output = Cmd::new("curl").args(common).args(more).args(shown).read()?;
        let (body, status) = output.rsplit_once('\n').context("curl has written no status")?;
        Ok((status.parse()?, body.contains("node_uptime{")))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("prometheus").join(name)
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
