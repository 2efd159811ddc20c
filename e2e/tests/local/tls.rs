//! The exporter behind TLS, client certificates and passwords, as the component `tls` sets it up: scraped by a real
//! Prometheus, asked with curl, and held against Prometheus' own reader of such files.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::client::prometheus::Prometheus;
use e2e::process::child::Process;
use e2e::process::command::Cmd;
use e2e::wait::poll::{self, Attempt};
use e2e::workspace;
use fs_err as fs;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::lab;
use crate::tls_client::{Client, make_certificates};

/// What the component mounts into Prometheus, where its configuration looks for it.
const MOUNTED: &str = "scrape";

#[test]
fn prometheus_scrapes_with_a_certificate_and_a_password() -> Result<()> {
    let site = Site::start()?;
    let (_prometheus, client) = site.prometheus()?;
    // Whether it is up, and why not, in one answer.
    let scraped = |health: &str, error: &str| {
        poll::until(health, Duration::from_secs(30), Duration::from_millis(200), || {
            match client.targets("mini-node-exporter") {
                Ok(targets) if targets.iter().any(|it| it.health == health && it.last_error.contains(error)) => {
                    Attempt::Ready(())
                }
                seen => Attempt::NotYet(format!("{seen:?}")),
            }
        })
    };
    scraped("up", "")?;
    ensure!(!client.query("node_uptime > 0")?.is_empty(), "no uptime came with the scrape");

    // Everything is new at once, as after a year: CA, both certificates, the password. Neither side is started again.
    site.certificates()?;
    let renewed = site.client().password()?;
    let before = client.query("timestamp(node_uptime)")?.first().map_or(0.0, |sample| sample.value);
    poll::until("a scrape with the new ones", Duration::from_secs(40), Duration::from_millis(200), || {
        let later = format!("timestamp(node_uptime) > {}", before + 5.0);
        match (client.query(&later), client.query("up{job=\"mini-node-exporter\"} == 1")) {
            (Ok(new), Ok(up)) if !new.is_empty() && !up.is_empty() => Attempt::Ready(()),
            seen => Attempt::NotYet(format!("{seen:?}")),
        }
    })?;
    ensure!(
        site.client().curl(&["--user", &format!("prometheus:{renewed}")])?.0 == 200,
        "the new password is not in force"
    );

    // An answer that is late, as under load, is down for another reason.
    site.exporter.signal(Signal::STOP);
    fs::write(site.path("prometheus/password"), "a guess")?;
    scraped("down", "deadline exceeded")?;
    site.exporter.signal(Signal::CONT);
    scraped("down", "401")?;
    ensure!(!site.exporter.log_text().contains(&renewed), "a password is in the log");
    Ok(())
}

#[test]
fn curl_gets_nothing_without_both() -> Result<()> {
    let site = Site::start()?;
    let client = site.client();
    let password = client.password()?;
    let (user, other) = (format!("prometheus:{password}"), format!("someone:{password}"));
    ensure!(client.curl(&["--user", &user])? == (200, true), "the right password is refused");
    for wrong in [&[][..], &["--user", "prometheus:guess"], &["--user", &other], &["--oauth2-bearer", &password]] {
        ensure!(client.curl(wrong)? == (401, false), "{wrong:?}");
    }
    // The handshake itself fails: no status, no byte.
    let without = client.curl_without_certificate(&["--user", &user]);
    ensure!(without.as_ref().is_err_and(|error| error.to_string().contains("certificate required")), "{without:?}");
    let plain =
        Cmd::new("curl").args(["--silent", "--max-time", "10", &format!("http://{}/metrics", site.address)]).run();
    ensure!(plain.is_err(), "something is served in plain: {plain:?}");
    for (path, status) in [("/healthz/live", 200), ("/healthz/ready", 200), ("/metrics", 404), ("/info/load", 404)] {
        let url = format!("http://{}{path}", site.health);
        let args = ["--silent", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}", &url];
        let seen = Cmd::new("curl").args(args).read()?;
        ensure!(seen == status.to_string(), "{path}: {seen}");
    }
    Ok(())
}

/// Where exporter-toolkit refuses a file we do too; where it accepts one we do too, but for those in the last list.
/// What older versions of it do not know, such as `rate_limit`, is not asked about.
#[test]
fn prometheus_own_reader_agrees_on_what_is_good() -> Result<()> {
    let site = Site::start()?;
    let tls = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n";
    let hash = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
    let good = [
        "",
        "tls_server_config: {}\n",
        tls,
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_auth_type: RequestClientCert}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_auth_type: RequireAnyClientCert}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, min_version: TLS13, prefer_server_cipher_suites: yes}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, curve_preferences: [CurveP256, X25519]}\n",
        "http_server_config: {http2: false, headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=1}}\n",
        &format!("basic_auth_users:\n  alice: {hash}\n  bob: \"{hash}\"\n"),
    ];
    let bad = [
        "hello\n",
        "tls_config: {}\n",
        "tls_server_config: {certificate: tls.crt}\n",
        "tls_server_config: {cert_file: tls.crt}\n",
        "tls_server_config: {key_file: tls.key}\n",
        "tls_server_config: {cert_file: none, key_file: tls.key}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: none}\n",
        "tls_server_config: {cert_file: tls.key, key_file: tls.crt}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_auth_type: Always}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: none}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, min_version: TLS111}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, cipher_suites: [TLS_INVENTED]}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, curve_preferences: [CurveP512]}\n",
        "http_server_config: {headers: {X-Frame-Options: allow}}\n",
        "http_server_config: {headers: {X-Content-Type-Options: sniff}}\n",
        "http_server_config: {headers: {Server: me}}\n",
        "basic_auth_users: {alice: secret}\n",
    ];
    let only_ours_refuses = [
        "tls_server_config: {min_version: TLS13}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, min_version: TLS10}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, curve_preferences: [CurveP521]}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_auth_type: VerifyClientCertIfGiven}\n",
        "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_auth_type: RequireAndVerifyClientCert}\n",
    ];
    let judge = Judge::new(&site)?;
    for (files, theirs, ours) in
        [(&good[..], true, true), (&bad[..], false, false), (&only_ours_refuses[..], true, false)]
    {
        for text in files {
            let seen = judge.accepts(text)?;
            ensure!(
                seen == (theirs, ours),
                "promtool and the exporter: {seen:?}, not {:?}, on\n{text}",
                (theirs, ours)
            );
        }
    }
    Ok(())
}

/// An exporter as in the component's `DaemonSet`, with what `scripts/certificates` has made.
struct Site {
    dir: TempDir,
    exporter: Process,
    address: String,
    health: String,
}

impl Site {
    fn start() -> Result<Self> {
        lab::begin()?;
        let dir = tempfile::tempdir()?;
        make_certificates(dir.path())?;
        let args = [
            "--web.listen-address=127.0.0.1:0".into(),
            format!("--web.config.file={}", dir.path().join("exporter/web.yml").display()).into(),
            "--web.health-address=127.0.0.1:0".into(),
        ];
        let exporter = Process::start("exporter", &lab::exporter()?, &args, &[], dir.path().join("exporter.log"))?;
        let address = |message: &'static str| {
            exporter.wait_for_line(message, Duration::from_secs(10), move |line| {
                let after = line.split_once(message)?.1.trim_start_matches('"');
                after.strip_prefix(" address=").map(str::to_owned)
            })
        };
        let (address, health) = (address("message=listening")?, address("listening for health probes")?);
        Ok(Self { dir, exporter, address, health })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn certificates(&self) -> Result<()> {
        make_certificates(self.dir.path())
    }

    /// A Prometheus with the component's own way to scrape, but for discovery.
    fn prometheus(&self) -> Result<(Process, Prometheus)> {
        let config = workspace::root().join("kustomize/prometheus/prometheus-tls.yml");
        let config: Value = serde_saphyr::from_str(&fs::read_to_string(config)?)?;
        let mut job = config["scrape_configs"][0].clone();
        let fields = job.as_object_mut().context("the configuration has no scrape job")?;
        fields.remove("kubernetes_sd_configs");
        fields.remove("relabel_configs");
        fields.insert("static_configs".into(), json!([{ "targets": [self.address] }]));
        let config = json!({ "global": { "scrape_interval": "1s", "scrape_timeout": "1s" }, "scrape_configs": [job] });
        fs::write(self.path("prometheus.yml"), config.to_string())?;
        fs_err::os::unix::fs::symlink("prometheus", self.path(MOUNTED))?;
        let args = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"];
        let args = args.map(Into::into);
        let process = Process::start("prometheus", &lab::prometheus()?, &args, &[], self.path("prometheus.log"))?;
        let address = process.wait_for_line("Listening on", Duration::from_secs(30), |line| {
            let after = line.contains("Listening on").then(|| line.split_once("address="))??.1;
            after.split_whitespace().next().map(str::to_owned)
        })?;
        let client = Prometheus::new(format!("http://{address}"));
        process.wait_until("ready", Duration::from_secs(30), || client.ready())?;
        Ok((process, client))
    }

    /// Whoever asks its exporter.
    fn client(&self) -> Client<'_> {
        Client { dir: self.dir.path(), address: &self.address }
    }
}

/// promtool and the exporter, asked about the same file.
struct Judge {
    promtool: PathBuf,
    exporter: PathBuf,
    file: PathBuf,
}

impl Judge {
    fn new(site: &Site) -> Result<Self> {
        Ok(Self { promtool: lab::promtool()?, exporter: lab::exporter()?, file: site.path("exporter/judged.yml") })
    }

    fn accepts(&self, text: &str) -> Result<(bool, bool)> {
        fs::write(&self.file, text)?;
        let theirs = Cmd::new(&self.promtool).args(["check", "web-config"]).arg(&self.file).run();
        // It exits either way, for this machine does not have the address; the configuration is read first.
        let flag = format!("--web.config.file={}", self.file.display());
        let Err(error) = Cmd::new(&self.exporter).args(["--web.listen-address=192.0.2.1:1", &flag]).run() else {
            bail!("the exporter listens on an address of another machine");
        };
        let said = &error.output().stderr;
        let (refused, accepted) = (said.contains(&flag), said.contains("cannot listen on 192.0.2.1:1"));
        ensure!(refused != accepted && error.code() == Some(1), "{error}");
        Ok((theirs.is_ok(), accepted))
    }
}
