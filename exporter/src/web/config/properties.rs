//! What holds for every text: it is read or refused in one line, nothing panics, and no secret is repeated.

use proptest::prelude::*;

use super::*;

const SECRET: &str = "c2VjcmV0";

/// Pieces of which files are made, good and bad, so that more is reached than the first line's error.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "tls_server_config",
        "http_server_config",
        "basic_auth_users",
        "rate_limit",
        "cert",
        "key",
        "cert_file",
        "key_file",
        "client_ca",
        "client_auth_type",
        "RequireAndVerifyClientCert",
        "client_allowed_sans",
        "min_version",
        "TLS13",
        "cipher_suites",
        "TLS_AES_128_GCM_SHA256",
        "curve_preferences",
        "X25519",
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
        "%YAML 1.2\n",
        "? ",
        "\t",
        "\u{feff}",
        "\0",
        "\u{85}",
        SECRET,
    ];
    prop_oneof![8 => prop::sample::select(words.to_vec()).prop_map(str::to_string), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in any::<String>()) {
        if let Err(problem) = Config::parse(&text) {
            prop_assert_eq!(problem.to_string().lines().count(), 1);
        }
    }

    #[test]
    fn any_pieces_are_read_or_refused_in_one_line(pieces in prop::collection::vec(piece(), 0..40)) {
        if let Err(problem) = Config::parse(&pieces.concat()) {
            prop_assert_eq!(problem.to_string().lines().count(), 1);
        }
    }

    /// Wherever a value is a secret's, whatever else is wrong, it stays in the file.
    #[test]
    fn no_secret_is_repeated(before in "(\\PC{0,8}\n){0,2}", style in "['\"|>\\[{-]? ?(\n    )?", after in "\\PC{0,12}") {
        for section in ["basic_auth_users:\n  alice: ", "tls_server_config:\n  cert: C\n  key: "] {
            let text = format!("{before}{section}{style}{SECRET}{after}\n");
            if let Err(problem) = Config::parse(&text) {
                prop_assert!(!problem.to_string().contains(SECRET), "{} for {:?}", problem, text);
            }
        }
    }

    #[test]
    fn what_is_meant_is_what_is_read(
        names in prop::collection::btree_set("[a-zA-Z][a-zA-Z0-9_.@ -]{0,20}[a-zA-Z]", 0..5),
        interval in 1..100_000_u64,
        burst in 1..u32::MAX,
        sans in prop::collection::vec("[a-z]{1,8}(\\.[a-z]{1,8}){0,3}", 1..5),
    ) {
        let hash = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
        let users: String = names.iter().flat_map(|name| ["  '", name, "': ", hash, "\n"]).collect();
        let text = format!(
            "tls_server_config:\n  cert: C\n  key: K\n  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: {sans:?}\n\
             basic_auth_users:\n{users}rate_limit: {{interval: {interval}ms, burst: {burst}}}\n"
        );
        let config = Config::parse(&text).map_err(|problem| TestCaseError::fail(problem.to_string()))?;
        prop_assert_eq!(config.users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
        prop_assert_eq!(config.rate, Some(Rate { interval: Duration::from_millis(interval), burst }));
        prop_assert_eq!(config.tls.and_then(|tls| tls.allowed_sans), Some(sans));
    }
}
