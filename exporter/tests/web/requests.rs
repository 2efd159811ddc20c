//! Headers, the rate limit, health without a password, health on an address of its own.

use crate::support::https::Client;
use crate::support::pki::Pki;
use crate::support::running::{address_in, get};
use crate::{TLS, basic, start, start_with, user};

const HEADERS: &str = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    \
                       Strict-Transport-Security: max-age=31536000; includeSubDomains\n";

#[test]
fn every_answer_carries_the_headers() {
    let pki = Pki::new();
    let config = format!("{TLS}{HEADERS}{}rate_limit: {{interval: 1h, burst: 4}}\n", user("alice", "secret"));
    let running = start(&pki, &config);
    let ask = |path, lines: &str| Client::new(&pki).ask(running.address(), path, lines).unwrap();
    let alice = basic("alice", "secret");
    let answers = [
        (ask("/metrics", &alice), 200),
        (ask("/nowhere", &alice), 404),
        (ask("/metrics", ""), 401),
        (ask("/healthz/live", ""), 200),
        (ask("/metrics", &alice), 200),
        (ask("/metrics", &alice), 429),
    ];
    for (answer, status) in answers {
        assert_eq!(answer.status, status, "{answer:?}");
        for line in ["x-frame-options: deny", "strict-transport-security: max-age=31536000; includeSubDomains"] {
            assert!(answer.head.lines().any(|found| found == line), "no {line} in {}", answer.head);
        }
        assert_eq!(answer.head.contains("www-authenticate: Basic realm="), status == 401, "{}", answer.head);
    }
}

#[test]
fn beyond_the_rate_limit_is_429_and_health_is_not_counted() {
    let pki = Pki::new();
    let running = start(&pki, "rate_limit:\n  interval: 1h\n  burst: 3\n");
    for _ in 0..10 {
        assert_eq!(running.get("/healthz/ready").0, 200);
    }
    let statuses: Vec<u16> = (0..5).map(|_| running.get("/metrics").0).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(running.get("/healthz/live").0, 200);
}

#[test]
fn an_interval_of_0_is_no_limit() {
    let pki = Pki::new();
    let running = start(&pki, "rate_limit:\n  interval: 0\n  burst: 1\n");
    assert!((0..10).all(|_| running.get("/metrics").0 == 200));
}

#[test]
fn health_needs_no_password_and_no_more_than_health_goes_without() {
    let pki = Pki::new();
    let running = start(&pki, &user("alice", "secret"));
    for path in ["/healthz/live", "/healthz/ready"] {
        assert_eq!(running.get(path).0, 200, "{path}");
    }
    let others = [
        "/",
        "/metrics",
        "/info/load",
        "/healthz",
        "/healthz/live/",
        "/healthz/other",
        "//healthz/live",
        "/%68ealthz/live",
    ];
    for path in others {
        assert_eq!(running.get(path).0, 401, "{path}");
    }
    assert_eq!(running.get("/metrics?/healthz/live").0, 401);
}

/// What a kubelet can ask where every client needs a certificate.
#[test]
fn health_has_an_address_of_its_own_in_plain() {
    let pki = Pki::new();
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    let config = format!("{TLS}{policy}{}", user("alice", "secret"));
    let mut running = start_with(&pki, &config, &["--web.health-address=127.0.0.1:0"]);
    let health = address_in(&running.wait_for_line("listening for health probes"));
    assert_ne!(health, running.address());
    assert_eq!(get(health, "/healthz/live"), (200, "ok\n".to_string()));
    assert_eq!(get(health, "/healthz/ready"), (200, "ok\n".to_string()));
    for path in ["/", "/metrics", "/info/load", "/info/hostname"] {
        assert_eq!(get(health, path).0, 404, "{path}");
    }
    let answer = Client::with(&pki, "client").get(running.address(), "/healthz/live").unwrap();
    assert_eq!(answer.status, 200);
}
