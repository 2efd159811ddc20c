//! TLS handshakes: many that never finish, and many that do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use fs_err as fs;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::support::{Exporter, SCRAPE, allow_descriptors, pause};

const NAME: &str = "node.example";

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn two_thousand_handshakes_that_never_finish() {
    allow_descriptors(6000);
    let tls = Tls::new();
    let exporter = Exporter::start(&[&tls.flag()]);
    tls.scrape(&exporter);
    let crowd: Vec<TcpStream> = (0..2000)
        .map(|_| {
            let mut client = exporter.connect();
            client.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
            client
        })
        .collect();
    exporter.assert_at_once("2,000 handshakes that never finish", || tls.scrape(&exporter));
    drop(crowd);
}

#[test]
#[ignore = "needs the release binary: run `just abuse`"]
fn fifty_handshakes_a_second() {
    let tls = Tls::new();
    let exporter = Exporter::start(&[&tls.flag()]);
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in (0..60 * 50).take_while(|_| !over.load(Relaxed)) {
                let next = Instant::now() + Duration::from_millis(20);
                drop(tls.connect(&exporter));
                pause(next.saturating_duration_since(Instant::now()));
            }
        });
        exporter.assert_at_once("50 handshakes a second", || tls.scrape(&exporter));
        over.store(true, Relaxed);
    });
}

/// A certificate for an exporter, and a client that trusts it.
struct Tls {
    dir: TempDir,
    client: Arc<ClientConfig>,
}

impl Tls {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_string()]).unwrap();
        for (file, text) in [
            ("tls.crt", cert.pem()),
            ("tls.key", signing_key.serialize_pem()),
            ("web.yml", "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n".to_string()),
        ] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
        Self { dir, client }
    }

    fn flag(&self) -> String {
        format!("--web.config.file={}", self.dir.path().join("web.yml").display())
    }

    fn connect(&self, exporter: &Exporter) -> StreamOwned<ClientConnection, TcpStream> {
        let client = ClientConnection::new(Arc::clone(&self.client), NAME.try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(client, exporter.connect());
        stream.conn.complete_io(&mut stream.sock).unwrap();
        stream
    }

    fn scrape(&self, exporter: &Exporter) {
        let mut stream = self.connect(exporter);
        stream.write_all(SCRAPE).unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("process_cpu_seconds_total ") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend(&piece[..length]);
        }
    }
}
