//! The cases are those of exporter-toolkit's own test files, and what it leaves open.

use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};

use super::*;

const CERT: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

fn good(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|problem| panic!("{problem} in:\n{text}"))
}

fn bad(text: &str) -> String {
    match Config::parse(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(problem) => problem.to_string(),
    }
}

fn tls(lines: &str) -> Tls {
    good(&format!("{CERT}{lines}")).tls.unwrap()
}

fn bad_tls(lines: &str) -> String {
    bad(&format!("{CERT}{lines}"))
}

#[test]
fn an_empty_file_asks_for_nothing() {
    for text in [
        "",
        "# nothing\n",
        "---\n",
        "{}",
        "tls_server_config: {}\n",
        "tls_server_config:\nbasic_auth_users: {}\nhttp_server_config:\nrate_limit:\n",
    ] {
        let config = good(text);
        assert!(config.tls.is_none() && config.users.is_empty() && config.headers.is_empty() && config.rate.is_none());
    }
}

#[test]
fn what_is_no_mapping_is_refused() {
    assert_eq!(bad("hello\n"), "line 1: the file is not a mapping of keys to values");
    assert_eq!(bad("- tls_server_config\n"), "line 1: the file is not a mapping of keys to values");
    assert_eq!(bad("\ntls_server_config: [a]\n"), "line 2: tls_server_config is not a mapping of keys to values");
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let known = "known are tls_server_config, http_server_config, basic_auth_users, rate_limit";
    assert_eq!(bad("# one\ntls_config: {}\n"), format!("line 2: unknown key `tls_config`; {known}"));
    let problem = bad_tls("  cert_fle: x\n");
    assert!(
        problem.starts_with("line 4: unknown key `cert_fle` in tls_server_config; known are cert_file,"),
        "{problem}"
    );
    for (text, line, key) in [
        ("http_server_config:\n  http3: true\n", 2, "`http3` in http_server_config"),
        ("http_server_config:\n  headers:\n    X-Robots-Tag: none\n", 3, "`X-Robots-Tag` in headers"),
        ("http_server_config:\n  headers:\n    x-frame-options: deny\n", 3, "`x-frame-options` in headers"),
        ("rate_limit:\n  rate: 1\n", 2, "`rate` in rate_limit"),
        ("ip_socket_config:\n  dscp: 46\n", 1, "`ip_socket_config`"),
        ("auth_excluded_paths: [/x]\n", 1, "`auth_excluded_paths`"),
    ] {
        let problem = bad(text);
        assert!(problem.starts_with(&format!("line {line}: unknown key {key}; known are ")), "{problem}");
    }
    // Somebody forgot the space, or the name of the section.
    let problem = bad(&format!("{{alice:{HASH}}}\n"));
    assert!(problem.starts_with("line 1: unknown key; known are ") && !problem.contains("$2y$"), "{problem}");
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let inline = good("tls_server_config:\n  cert: |\n    CERT\n  key: |\n    KEY\n").tls.unwrap();
    assert!(matches!(inline.cert, Pem::Inline("cert", text) if text == "CERT\n"));
    assert!(matches!(inline.key, Pem::Inline("key", text) if text == "KEY\n"));
    let both = good("tls_server_config:\n  cert: C\n  cert_file: c\n  key: K\n").tls.unwrap();
    assert!(matches!(both.cert, Pem::File("cert_file", path) if path == "c"));
    let (cert, key) = ("one of cert_file and cert is missing", "one of key_file and key is missing");
    for (lines, missing) in [
        ("  key_file: k\n", cert),
        ("  cert_file: ''\n  key_file: k\n", cert),
        ("  cert: ''\n  key: k\n", cert),
        ("  cert_file: ''\n  key_file: ''\n", cert),
        ("  cert_file: c\n", key),
        ("  cert_file: c\n  key_file: ''\n", key),
        ("  cert: c\n  key: ''\n", key),
        ("  client_auth_type: RequireAnyClientCert\n", cert),
        // exporter-toolkit would serve in plain, whatever else is asked for.
        ("  min_version: TLS13\n", cert),
    ] {
        assert_eq!(
            bad(&format!("tls_server_config:\n{lines}")),
            format!("line 2: tls_server_config: {missing}"),
            "{lines}"
        );
    }
}

#[test]
fn a_policy_on_clients_is_one_of_gos() {
    for (name, auth) in [
        ("''", ClientAuth::None),
        ("NoClientCert", ClientAuth::None),
        ("RequestClientCert", ClientAuth::Request),
        ("RequireClientCert", ClientAuth::RequireAny),
        ("RequireAnyClientCert", ClientAuth::RequireAny),
        ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
    ] {
        assert_eq!(tls(&format!("  client_auth_type: {name}\n")).client_auth, auth, "{name}");
    }
    let strict = tls("  client_auth_type: \"RequireAndVerifyClientCert\"\n  client_ca_file: ca.crt\n");
    assert_eq!(strict.client_auth, ClientAuth::RequireAndVerify);
    assert!(matches!(strict.client_ca, Some(Pem::File("client_ca_file", path)) if path == "ca.crt"));
    let problem = bad_tls("  client_auth_type: Always\n");
    assert!(
        problem.starts_with("line 4: client_auth_type: unknown value `Always`; known are NoClientCert,"),
        "{problem}"
    );
    assert!(bad_tls("  client_ca_file: ca.crt\n").ends_with("would verify nobody"));
    assert!(bad_tls("  client_auth_type: RequireAndVerifyClientCert\n").contains("needs client_ca_file or client_ca"));
}

#[test]
fn allowed_names_need_a_policy_that_asks_for_a_certificate() {
    let sans = "  client_allowed_sans: [prometheus.example, 10.0.0.1]\n";
    let allowed = tls(&format!("  client_auth_type: RequireAnyClientCert\n{sans}")).allowed_sans;
    assert_eq!(allowed, Some(vec!["prometheus.example".to_string(), "10.0.0.1".to_string()]));
    for policy in ["NoClientCert", "RequestClientCert", "VerifyClientCertIfGiven"] {
        let problem = bad_tls(&format!("  client_auth_type: {policy}\n{sans}"));
        assert!(problem.contains("client_allowed_sans needs client_auth_type"), "{policy}: {problem}");
    }
    let problem = bad_tls("  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: []\n");
    assert!(problem.contains("would let nobody in"), "{problem}");
    assert!(
        bad_tls("  client_allowed_sans: prometheus\n")
            .contains("client_allowed_sans in tls_server_config is not a list")
    );
}

#[test]
fn versions_are_a_range() {
    let names = |lines: &str| -> Vec<_> { tls(lines).versions.iter().map(|version| version.version).collect() };
    assert_eq!(names(""), [TLSv1_3, TLSv1_2]);
    assert_eq!(names("  min_version: TLS13\n"), [TLSv1_3]);
    assert_eq!(names("  max_version: TLS12\n"), [TLSv1_2]);
    assert_eq!(names("  min_version: TLS12\n  max_version: TLS13\n"), [TLSv1_3, TLSv1_2]);
    assert!(bad_tls("  min_version: TLS13\n  max_version: TLS12\n").contains("min_version is above max_version"));
    assert!(bad_tls("  min_version: TLS111\n").starts_with("line 4: min_version: unknown value `TLS111`"));
    for key in ["min_version", "max_version"] {
        for name in ["TLS10", "TLS11"] {
            let problem = bad_tls(&format!("  {key}: {name}\n"));
            assert!(problem.starts_with(&format!("line 4: {key}: {name} cannot be served: ")), "{problem}");
        }
    }
}

#[test]
fn cipher_suites_are_those_there_are_code_for() {
    assert!(tls("  cipher_suites: []\n").suites.is_none());
    let suites =
        tls("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]\n").suites.unwrap();
    let tls12: Vec<_> = suites.iter().filter(|suite| suite.tls13().is_none()).collect();
    assert_eq!((suites.len(), tls12), (4, vec![&cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]));
    let problem = bad_tls("  cipher_suites:\n    - TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n    - TLS_INVENTED\n");
    assert!(problem.starts_with("line 6: cipher_suites: unknown value `TLS_INVENTED`; known are "), "{problem}");
    for name in ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_128_GCM_SHA256"] {
        let problem = bad_tls(&format!("  cipher_suites: [{name}]\n"));
        assert!(problem.starts_with(&format!("line 4: cipher_suites: {name} cannot be served: ")), "{problem}");
    }
}

#[test]
fn curves_are_those_there_is_code_for() {
    assert!(tls("").curves.is_none());
    assert_eq!(tls("  curve_preferences: [CurveP384, X25519, CurveP256]\n").curves.unwrap().len(), 3);
    assert!(
        bad_tls("  curve_preferences: [CurveP512]\n")
            .starts_with("line 4: curve_preferences: unknown value `CurveP512`")
    );
    assert!(bad_tls("  curve_preferences: [CurveP521]\n").contains("CurveP521 cannot be served"));
}

#[test]
fn what_changes_nothing_here_is_still_checked() {
    tls("  prefer_server_cipher_suites: no\n");
    assert!(bad_tls("  prefer_server_cipher_suites: perhaps\n").contains("is not true or false"));
    good("http_server_config:\n  http2: false\n");
    assert!(bad("http_server_config:\n  http2: 2\n").contains("http2 in http_server_config is not true or false"));
    // Without HTTP/2 its own cipher suites need not be among those listed.
    tls("  cipher_suites: [TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]\nhttp_server_config:\n  http2: true\n");
}

#[test]
fn five_headers_can_be_set() {
    let text = "http_server_config:\n  headers:\n    Content-Security-Policy: \"default-src 'self'\"\n    X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n    X-XSS-Protection: ''\n    Strict-Transport-Security: max-age=1; includeSubDomains\n";
    let headers = good(text).headers;
    let mut shown: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "content-security-policy: default-src 'self'",
            "strict-transport-security: max-age=1; includeSubDomains",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
        ]
    );
    for (header, value) in [("X-Frame-Options", "allow"), ("X-Content-Type-Options", "sniff")] {
        let problem = bad(&format!("http_server_config:\n  headers:\n    {header}: {value}\n"));
        assert!(problem.starts_with(&format!("line 3: {header}: unknown value `{value}`; known are ")), "{problem}");
    }
    let problem = bad("http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\nSet-Cookie: b\"\n");
    assert!(problem.contains("holds a control character"), "{problem}");
}

#[test]
fn users_have_bcrypt_hashes() {
    let users = good(&format!("basic_auth_users:\n  alice: {HASH}\n  'b o b': \"{HASH}\"\n")).users;
    assert_eq!(
        users.iter().map(|user| (user.name.as_str(), user.cost)).collect::<Vec<_>>(),
        [("alice", 10), ("b o b", 10)]
    );
    for hash in [
        "secret",
        "12345",
        "''",
        "$2y$10$short",
        &HASH.replace("$10$", "$03$"),
        &HASH.replace("$10$", "$32$"),
        "[a]",
        "~",
    ] {
        let problem = bad(&format!("basic_auth_users:\n  alice: {hash}\n"));
        assert!(problem.starts_with("line 2: basic_auth_users: a user"), "{problem}");
        assert!(!problem.contains(hash) && !problem.contains("alice"), "{problem}");
    }
    for name in ["''", "'a:b'", "\"a\\nb\""] {
        assert!(bad(&format!("basic_auth_users:\n  {name}: {HASH}\n")).contains("no client could send it"), "{name}");
    }
    assert!(bad("basic_auth_users: [alice]\n").contains("is not a mapping"));
    assert!(bad(&format!("basic_auth_users:\n  a: {HASH}\n  a: {HASH}\n")).starts_with("line 3: the key of line 2"));
}

#[test]
fn a_rate_is_an_interval_and_a_burst() {
    let rate = |text: &str| good(&format!("rate_limit: {text}\n")).rate;
    assert_eq!(rate("{interval: 1s, burst: 5}"), Some(Rate { interval: Duration::from_secs(1), burst: 5 }));
    assert_eq!(rate("{interval: 0, burst: 5}"), None);
    assert_eq!(rate("{burst: 5}"), None);
    for text in ["{interval: fast, burst: 5}", "{interval: -1s, burst: 5}"] {
        assert!(bad(&format!("rate_limit: {text}\n")).contains("interval in rate_limit is not a duration"), "{text}");
    }
    for text in ["{interval: 1s, burst: -1}", "{interval: 1s, burst: 1.5}", "{interval: 1s, burst: 4294967296}"] {
        assert!(bad(&format!("rate_limit: {text}\n")).contains("burst in rate_limit is not a count"), "{text}");
    }
    assert!(bad("rate_limit: {interval: 1s}\n").contains("a burst of 0 would let no request through"));
}
