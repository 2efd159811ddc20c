//! Every policy on clients' certificates, and the names that are allowed.

use crate::support::https::Client;
use crate::support::pki::Pki;
use crate::support::running::{Running, SOON};
use crate::{TLS, start};

const NONE: &str = "";

fn is_let_in(pki: &Pki, running: &Running, certificate: &str) -> bool {
    let client = if certificate.is_empty() { Client::new(pki) } else { Client::with(pki, certificate) };
    match client.get(running.address(), "/metrics") {
        Ok(answer) => {
            assert!(answer.status == 200 && answer.body.contains("node_uptime{"), "{answer:?}");
            true
        }
        Err(_) => false,
    }
}

#[test]
fn each_policy_lets_in_whom_it_should() {
    let pki = Pki::new();
    let all = [NONE, "client", "stranger", "expired", "own"];
    for (policy, authority, let_in) in [
        ("NoClientCert", None, [true, true, true, true, true]),
        ("RequestClientCert", None, [true, true, true, true, true]),
        ("RequestClientCert", Some("ca"), [true, true, true, true, true]),
        ("RequireAnyClientCert", None, [false, true, true, true, true]),
        ("RequireClientCert", None, [false, true, true, true, true]),
        ("VerifyClientCertIfGiven", Some("ca"), [true, true, false, false, false]),
        ("RequireAndVerifyClientCert", Some("ca"), [false, true, false, false, false]),
        ("RequireAndVerifyClientCert", Some("own"), [false, false, false, false, true]),
    ] {
        let authority = authority.map(|name| format!("  client_ca_file: {name}.crt\n")).unwrap_or_default();
        let running = start(&pki, &format!("{TLS}  client_auth_type: {policy}\n{authority}"));
        assert_eq!(all.map(|certificate| is_let_in(&pki, &running, certificate)), let_in, "{policy} {authority}");
        // Whoever is turned away, nothing dies of it.
        assert!(running.is_running());
    }
}

/// Go accepts this one, for it is good for any usage.
#[test]
fn a_refused_client_is_logged_once_a_minute() {
    let pki = Pki::new();
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    let running = start(&pki, &format!("{TLS}{policy}"));
    for certificate in ["any-usage", NONE, "any-usage", "stranger"] {
        assert!(!is_let_in(&pki, &running, certificate), "{certificate}");
    }
    assert!(is_let_in(&pki, &running, "client"));
    running.signal(rustix::process::Signal::TERM);
    let (_, log, _) = running.wait(SOON);
    let refused: Vec<_> = log.iter().filter(|line| line.contains("TLS handshake failed")).collect();
    assert!(
        refused.len() == 1 && refused[0].contains("level=info") && refused[0].contains("peer=127.0.0.1"),
        "{log:#?}"
    );
}

#[test]
fn a_listed_certificate_expires_as_others_do() {
    let pki = Pki::new();
    let both = pki.read("own.crt") + &pki.read("own-expired.crt");
    pki.write("both.crt", both);
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: both.crt\n";
    let running = start(&pki, &format!("{TLS}{policy}"));
    assert_eq!(["own", "own-expired"].map(|name| is_let_in(&pki, &running, name)), [true, false]);
}

#[test]
fn everything_can_stand_in_the_file_itself() {
    let pki = Pki::new();
    let block = |file: &str| format!("    {}\n", pki.read(file).trim_end().replace('\n', "\n    "));
    let (cert, key, ca) = (block("server.crt"), block("server.key"), block("ca.crt"));
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n";
    let config = format!("tls_server_config:\n  cert: |\n{cert}  key: |\n{key}  client_ca: |\n{ca}{policy}");
    let running = start(&pki, &config);
    assert_eq!([NONE, "client", "stranger"].map(|name| is_let_in(&pki, &running, name)), [false, true, false]);
}

#[test]
fn a_client_has_one_of_the_names_that_are_allowed() {
    let pki = Pki::new();
    let verify = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    for (names, let_in) in [
        ("prometheus.example", true),
        ("192.0.2.7", true),
        ("team@example.org", true),
        ("spiffe://example.org/prometheus", true),
        ("other.example, prometheus.example", true),
        ("example", false),
        ("\"*.example\"", false),
        ("192.0.2.70", false),
        ("a client", false),
    ] {
        let running = start(&pki, &format!("{TLS}{verify}  client_allowed_sans: [{names}]\n"));
        assert_eq!(is_let_in(&pki, &running, "client"), let_in, "{names}");
    }
    let any = "  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [prometheus.example]\n";
    let running = start(&pki, &format!("{TLS}{any}"));
    assert_eq!(["stranger", "own", NONE].map(|name| is_let_in(&pki, &running, name)), [true, false, false]);
}
