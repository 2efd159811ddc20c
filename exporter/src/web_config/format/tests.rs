//! The cases are those of exporter-toolkit's own test files, and what it leaves open.

use std::time::Duration;

use proptest::prelude::*;
use rustls::ProtocolVersion::{TLSv1_2, TLSv1_3};

use super::*;

const CERT: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
const SECRET: &str = "c2VjcmV0";

fn good(text: &str) -> ParsedWebConfig {
    ParsedWebConfig::parse(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

fn bad(text: &str) -> String {
    match ParsedWebConfig::parse(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

fn tls(lines: &str) -> TlsConfig {
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
        "rate_limit: {interval: 0, burst: 5}\n",
        "rate_limit: {burst: 5}\n",
    ] {
        let config = good(text);
        assert!(config.tls.is_none() && config.users.is_empty() && config.headers.is_empty() && config.rate.is_none());
    }
}

#[test]
fn what_is_invalid_is_named_with_its_line() {
    let user = |hash: &str| format!("basic_auth_users:\n  alice: {hash}\n");
    for (text, error) in [
        ("hello\n", "line 1: invalid value; expected mapping"),
        ("- tls_server_config\n", "line 1: invalid value; expected mapping"),
        ("\ntls_server_config: [a]\n", "line 2: invalid value; expected mapping"),
        ("tls_server_config: {}\nx: {\n", "line 2: invalid YAML"),
        ("rate_limit:\nrate_limit:\n", "line 2: duplicate key"),
        ("rate_limit:\n---\nrate_limit:\n", "line 3: more than one document"),
        ("# one\ntls_config: {}\n", "line 2: unknown key; expected one of tls_server_config, http_server_config,"),
        (&format!("{CERT}  cert_fle: x\n"), "line 4: unknown key; expected one of cert_file, cert,"),
        (&format!("{CERT}  client_auth_type: Always\n"), "line 4: unknown value; expected one of NoClientCert,"),
        (&format!("{CERT}  min_version: TLS11\n"), "line 4: unknown value; expected one of TLS12, TLS13"),
        (
            &format!("{CERT}  curve_preferences: [CurveP521]\n"),
            "line 4: unknown curve; expected one of X25519, CurveP256,",
        ),
        (
            &format!(
                "{CERT}  cipher_suites:\n    - TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n    - TLS_RSA_WITH_RC4_128_SHA\n"
            ),
            "line 6: unknown cipher suite; expected one of TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,",
        ),
        (&format!("{CERT}  prefer_server_cipher_suites: perhaps\n"), "line 4: invalid value; expected bool"),
        ("http_server_config:\n  http3: true\n", "line 2: unknown key; expected one of http2, headers"),
        (
            "http_server_config:\n  headers:\n    X-Robots-Tag: none\n",
            "line 3: unknown header; expected one of Content-",
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: allow\n",
            "line 3: unknown value; expected one of deny,",
        ),
        (
            "http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\nSet-Cookie: b\"\n",
            "line 3: invalid X-XSS-Protection: control character",
        ),
        (&user("secret"), "line 2: invalid password hash; expected bcrypt"),
        (&user("12345"), "line 2: invalid password hash; expected bcrypt"),
        (&user("''"), "line 2: invalid password hash; expected bcrypt"),
        (&user(&HASH.replace("$10$", "$32$")), "line 2: invalid password hash; expected bcrypt"),
        (&user("~"), "line 2: "),
        (&user("[a]"), "line 2: "),
        (&format!("basic_auth_users:\n  'a:b': {HASH}\n"), "line 2: invalid user name"),
        (&format!("basic_auth_users:\n  a: {HASH}\n  a: {HASH}\n"), "line 3: duplicate key"),
        ("rate_limit: {interval: fast, burst: 5}\n", "line 1: invalid duration; expected e.g. 500ms"),
        ("rate_limit:\n  interval: 1s\n  burst: -1\n", "line 3: invalid burst; expected a count"),
        ("rate_limit: {interval: 1s}\n", "line 1: rate_limit: burst is missing or 0"),
    ] {
        let seen = bad(text);
        assert!(seen.starts_with(error), "{seen:?}, not {error:?} for:\n{text}");
    }
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let inline = good("tls_server_config:\n  cert: |\n    CERT\n  key: |\n    KEY\n").tls.unwrap();
    assert!(matches!(inline.cert, PemSource::Inline("cert", text) if text == "CERT\n"));
    let both = good("tls_server_config:\n  cert: C\n  cert_file: c\n  key: K\n").tls.unwrap();
    assert!(matches!(both.cert, PemSource::File("cert_file", path) if path == "c"));
    for lines in ["key_file: k", "{cert: '', key: k}", "cert_file: c", "{cert: c, key: ''}", "min_version: TLS13"] {
        // exporter-toolkit would serve in plain text, whatever else the section says.
        let error = bad(&format!("tls_server_config:\n  {lines}\n"));
        assert!(error.ends_with(" is missing"), "{lines}: {error}");
    }
}

#[test]
fn policies_on_clients_are_those_of_go() {
    for (name, auth) in [
        ("''", ClientAuth::None),
        ("RequestClientCert", ClientAuth::Request),
        ("RequireClientCert", ClientAuth::RequireAny),
        ("RequireAnyClientCert", ClientAuth::RequireAny),
    ] {
        assert_eq!(tls(&format!("  client_auth_type: {name}\n")).client_auth, auth, "{name}");
    }
    assert!(bad_tls("  client_ca_file: ca.crt\n").contains("a client CA requires client_auth_type"));
    for client_auth in ["VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] {
        assert!(
            bad_tls(&format!("  client_auth_type: {client_auth}\n")).contains("requires client_ca_file or client_ca")
        );
    }
    let sans = |client_auth, sans| format!("  client_auth_type: {client_auth}\n  client_allowed_sans: {sans}\n");
    assert_eq!(tls(&sans("RequireAnyClientCert", "[a, 10.0.0.1]")).allowed_sans.unwrap(), ["a", "10.0.0.1"]);
    assert!(bad_tls(&sans("RequestClientCert", "[a]")).contains("client_allowed_sans requires client_auth_type"));
    assert!(bad_tls(&sans("RequireAnyClientCert", "[]")).contains("client_allowed_sans is empty"));
}

#[test]
fn versions_suites_and_curves_are_those_that_are_listed() {
    let names = |lines: &str| -> Vec<_> { tls(lines).versions.iter().map(|version| version.version).collect() };
    assert_eq!(names(""), [TLSv1_3, TLSv1_2]);
    assert_eq!(names("  min_version: TLS13\n"), [TLSv1_3]);
    assert_eq!(names("  max_version: TLS12\n"), [TLSv1_2]);
    assert!(bad_tls("  min_version: TLS13\n  max_version: TLS12\n").contains("min_version is above max_version"));
    assert_eq!(tls("  cipher_suites: []\n").suites.len(), 9);
    let listed = tls("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]\n").suites;
    let tls12: Vec<_> = listed.iter().filter(|suite| suite.tls13().is_none()).collect();
    assert_eq!((listed.len(), tls12), (4, vec![&cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]));
    assert_eq!(tls("  curve_preferences: [CurveP384, CurveP256]\n").curves.len(), 2);
}

#[test]
fn what_is_meant_is_what_is_read() {
    let text = format!(
        "http_server_config:\n  http2: yes\n  headers:\n    Content-Security-Policy: \"default-src 'self'\"\n    \
         X-Frame-Options: deny\nbasic_auth_users:\n  alice: {HASH}\n  'b o b': \"{HASH}\"\n\
         rate_limit: {{interval: 1m30s, burst: 5}}\n"
    );
    let config = good(&text);
    let headers: Vec<_> = config.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("content-security-policy", "default-src 'self'"), ("x-frame-options", "deny")]);
    let users: Vec<_> = config.users.iter().map(|user| (user.name.as_str(), user.hash.as_str(), user.cost)).collect();
    assert_eq!(users, [("alice", HASH, 10), ("b o b", HASH, 10)]);
    assert_eq!(config.rate, Some(RateLimit { interval: Duration::from_secs(90), burst: 5 }));
}

/// Pieces of which files are made, good and bad, so that more is reached than the first line's error.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "tls_server_config",
        "http_server_config",
        "basic_auth_users",
        "rate_limit",
        "cert",
        "key",
        "client_auth_type",
        "RequireAndVerifyClientCert",
        "client_allowed_sans",
        "min_version",
        "TLS13",
        "cipher_suites",
        "headers",
        "X-Frame-Options",
        "deny",
        "interval",
        "burst",
        "1s",
        "10",
        "alice",
        "true",
        "~",
        "$2y$10$",
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "|\n",
        ">-\n",
        "# ",
        "&a",
        "*a",
        "!!str ",
        "!!binary ",
        "---\n",
        "...\n",
        "? ",
        "\t",
        "\u{feff}",
        "\0",
        "<<: ",
        SECRET,
    ];
    prop_oneof![8 => prop::sample::select(words.to_vec()).prop_map(str::to_string), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused_in_one_line(pieces in prop::collection::vec(piece(), 0..40)) {
        if let Err(error) = ParsedWebConfig::parse(&pieces.concat()) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
            prop_assert!(!error.to_string().contains(SECRET), "{}", error);
        }
    }

    /// Wherever a value is a secret's, whatever else is wrong, it stays in the file.
    #[test]
    fn no_secret_is_repeated(before in "(\\PC{0,8}\n){0,2}", style in "['\"|>\\[{*&!-]? ?(\n    )?", after in "\\PC{0,12}") {
        for section in ["basic_auth_users:\n  alice: ", "basic_auth_users:\n  ", "tls_server_config:\n  cert: C\n  key: "] {
            let text = format!("{before}{section}{style}{SECRET}{after}\n");
            if let Err(error) = ParsedWebConfig::parse(&text) {
                prop_assert!(!error.to_string().contains(SECRET), "{} for {:?}", error, text);
            }
        }
    }
}
