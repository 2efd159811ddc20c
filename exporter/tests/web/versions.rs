//! Protocol versions, cipher suites, curves.

use std::io;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use rustls::version::{TLS12, TLS13};

use crate::support::https::{Answer, Client};
use crate::support::pki::Pki;
use crate::{TLS, start};

fn ask(pki: &Pki, lines: &str, client: &Client) -> io::Result<Answer> {
    let running = start(pki, &format!("{TLS}{lines}"));
    client.get(running.address(), "/metrics")
}

#[test]
fn a_version_out_of_range_is_refused() {
    let pki = Pki::new();
    let new = || Client { versions: vec![&TLS13], ..Client::new(&pki) };
    let old = || Client { versions: vec![&TLS12], ..Client::new(&pki) };
    for (lines, with_new, with_old) in [
        ("", true, true),
        ("  min_version: TLS12\n  max_version: TLS13\n", true, true),
        ("  min_version: TLS13\n", true, false),
        ("  max_version: TLS12\n", false, true),
    ] {
        let seen = [new(), old()].map(|client| ask(&pki, lines, &client).is_ok());
        assert_eq!(seen, [with_new, with_old], "{lines}");
    }
}

#[test]
fn only_a_listed_cipher_suite_is_agreed_on() {
    let pki = Pki::new();
    let listed = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n";
    let with = |suites: &[_]| Client {
        versions: vec![&TLS12],
        provider: CryptoProvider { cipher_suites: suites.to_vec(), ..default_provider() },
        ..Client::new(&pki)
    };
    let (good, other) =
        (cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    assert!(ask(&pki, listed, &with(&[good])).is_ok());
    assert!(ask(&pki, listed, &with(&[other, good])).is_ok());
    assert!(ask(&pki, listed, &with(&[other])).is_err());
    assert!(ask(&pki, "", &with(&[other])).is_ok());
    // Those of TLS 1.3 are not for choosing.
    assert!(ask(&pki, listed, &Client { versions: vec![&TLS13], ..Client::new(&pki) }).is_ok());
}

#[test]
fn only_a_listed_curve_is_agreed_on() {
    let pki = Pki::new();
    let with = |group| Client {
        provider: CryptoProvider { kx_groups: vec![group], ..default_provider() },
        ..Client::new(&pki)
    };
    let listed = "  curve_preferences: [CurveP384]\n";
    assert!(ask(&pki, listed, &with(kx_group::SECP384R1)).is_ok());
    assert!(ask(&pki, listed, &with(kx_group::X25519)).is_err());
    assert!(ask(&pki, "", &with(kx_group::X25519)).is_ok());
}
