//! Files that it does not start with: exit code 1, and one line that names the file and what is wrong with it.

use crate::TLS;
use crate::support::pki::Pki;
use crate::support::running::output;

/// What it says about a file, after the part that names the file.
#[track_caller]
fn refusal(pki: &Pki, config: &str) -> String {
    let file = pki.write("web.yml", config);
    let argument = format!("--web.config.file={}", file.display());
    let output = output(["--web.listen-address=127.0.0.1:0", &argument]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}\nfor:\n{config}");
    let rest = stderr.strip_prefix(&format!("mini-node-exporter: {argument}: "));
    rest.unwrap_or_else(|| panic!("{stderr}")).trim_end().to_string()
}

#[test]
fn a_key_that_is_unknown_is_named_with_its_line() {
    let problem = refusal(&Pki::new(), "# a comment\ntls_server_config:\n  cert: x\n  cert_path: y\n");
    assert!(problem.starts_with("line 4: unknown key; expected one of cert_file, "), "{problem}");
}

#[test]
fn a_file_that_is_missing_or_no_certificate_or_key_is_named() {
    let pki = Pki::new();
    let path = |file: &str| pki.path(file).display().to_string();
    let tls = |cert: &str, key: &str| format!("tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n");
    let ca = |file: &str| format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {file}\n");
    std::fs::create_dir(pki.path("directory")).unwrap();
    pki.write("empty", "");
    crate::support::tree::make_fifo(&pki.path("fifo"));
    pki.write("full", vec![b'x'; 1024 * 1024]);
    pki.write("huge", vec![b'x'; 1024 * 1024 + 1]);
    pki.write("broken.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (config, problem) in [
        (
            tls("none.crt", "server.key"),
            format!("cert_file {}: No such file or directory (os error 2)", path("none.crt")),
        ),
        (tls("server.crt", "/none.key"), "key_file /none.key: No such file or directory (os error 2)".to_string()),
        (
            tls("none.crt", "none.key"),
            format!("cert_file {}: No such file or directory (os error 2)", path("none.crt")),
        ),
        (tls("server.crt", "directory"), format!("key_file {}: not a regular file", path("directory"))),
        (tls("server.crt", "fifo"), format!("key_file {}: not a regular file", path("fifo"))),
        (tls("empty", "server.key"), format!("cannot use cert_file {}: no certificate found", path("empty"))),
        (tls("server.key", "server.key"), format!("cannot use cert_file {}: no certificate found", path("server.key"))),
        (tls("server.crt", "server.crt"), format!("cannot use key_file {}: no private key found", path("server.crt"))),
        (tls("server.crt", "full"), format!("cannot use key_file {}: no private key found", path("full"))),
        (tls("server.crt", "huge"), format!("key_file {}: longer than 1048576 bytes", path("huge"))),
        (tls("server.crt", "client.key"), format!("key_file {} does not match the certificate", path("client.key"))),
        (
            "tls_server_config:\n  cert: hello\n  key_file: server.key\n".to_string(),
            "cannot use cert: no certificate found".to_string(),
        ),
        (ca("none.crt"), format!("client_ca_file {}: No such file or directory (os error 2)", path("none.crt"))),
        (ca("empty"), format!("cannot use client_ca_file {}: no certificate found", path("empty"))),
    ] {
        assert_eq!(refusal(&pki, &config), problem, "{config}");
    }
    assert!(refusal(&pki, &tls("broken.crt", "server.key")).contains("broken.crt as the exporter's own certificate: "));
    assert!(refusal(&pki, &ca("broken.crt")).starts_with("cannot use client CA: "));
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_said() {
    let pki = Pki::new();
    let file = pki.path("web.yml");
    let output = output(["--web.config.file".as_ref(), file.as_os_str()]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let expected = format!("--web.config.file={}: No such file or directory (os error 2)\n", file.display());
    assert_eq!((output.status.code(), stderr), (Some(1), format!("mini-node-exporter: {expected}")));
}

/// A secret in the wrong place must not end up in a log.
#[test]
fn no_secret_is_repeated() {
    let pki = Pki::new();
    let secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";
    for config in [
        format!("basic_auth_users:\n  alice: {secret}\n"),
        format!("basic_auth_users:\n  alice:{secret}\n"),
        format!("basic_auth_users:\n  - {secret}\n"),
        format!("basic_auth_users: {secret}\n"),
        format!("alice:{secret}: x\n"),
        format!("alice: {secret}\n"),
        format!("{secret}\n"),
        format!("tls_server_config:\n  cert_file: server.crt\n  key: {secret}\n"),
        format!("tls_server_config:\n  cert_file: server.crt\n  key: [{secret}\n"),
        format!("tls_server_config:\n  cert_file: server.crt\n  key: {{a: {secret}}}\n"),
        format!("tls_server_config:\n  cert_file: server.crt\n  key: \"{secret}\n"),
        format!(
            "tls_server_config:\n  cert_file: server.crt\n  key: |\n    -----BEGIN PRIVATE KEY-----\n    {secret}\n    -----END PRIVATE KEY-----\n"
        ),
        format!("tls_server_config:\n  cert_file: server.crt\n  key: *{secret}\n"),
    ] {
        let problem = refusal(&pki, &config);
        assert!(!problem.contains("c2Vj"), "{problem}\nfor:\n{config}");
    }
    let problem = refusal(&pki, &format!("tls_server_config:\n  cert_file: server.crt\n  key_file: {secret}\n"));
    assert!(problem.contains(secret), "a path is no secret, and has to be named: {problem}");
}
