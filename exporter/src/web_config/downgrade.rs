//! What a reload may not do: admit clients by taking a requirement away.

use super::format::{ClientAuth, ParsedWebConfig, TlsConfig};

/// Names the setting through which `after` admits a client that `before` refuses, if there is one. Adding a CA, an allowed
/// name or a user is allowed if there was one before, and so is removing `rate_limit`, which admits no new client.
pub(super) fn between(before: &ParsedWebConfig, after: &ParsedWebConfig) -> Option<&'static str> {
    match (&before.tls, &after.tls) {
        (Some(_), None) => Some("TLS was removed"),
        _ if !before.users.is_empty() && after.users.is_empty() => Some("every user was removed"),
        (Some(before), Some(after)) => between_tls(before, after),
        (None, _) => None,
    }
}

fn between_tls(before: &TlsConfig, after: &TlsConfig) -> Option<&'static str> {
    let ((without, unverified), admitted_before) = (admits(after.client_auth), admits(before.client_auth));
    if (without && !admitted_before.0) || (unverified && !admitted_before.1) {
        return Some("client_auth_type was relaxed");
    }
    if before.allowed_sans.is_some() && after.allowed_sans.is_none() {
        return Some("client_allowed_sans was removed");
    }
    let versions = |tls: &TlsConfig| tls.versions.iter().map(|version| version.version).collect::<Vec<_>>();
    if has_more(&versions(before), &versions(after)) {
        return Some("min_version or max_version was relaxed");
    }
    let suites = |tls: &TlsConfig| tls.suites.iter().map(rustls::SupportedCipherSuite::suite).collect::<Vec<_>>();
    if has_more(&suites(before), &suites(after)) {
        return Some("a cipher suite was added");
    }
    let curves = |tls: &TlsConfig| tls.curves.iter().map(|curve| curve.name()).collect::<Vec<_>>();
    has_more(&curves(before), &curves(after)).then_some("a curve was added")
}

fn has_more<T: PartialEq>(before: &[T], after: &[T]) -> bool {
    after.iter().any(|one| !before.contains(one))
}

/// Returns whether this `client_auth_type` admits a client without a certificate, and one with an unverified certificate.
fn admits(client_auth: ClientAuth) -> (bool, bool) {
    match client_auth {
        ClientAuth::None | ClientAuth::Request => (true, true),
        ClientAuth::RequireAny => (false, true),
        ClientAuth::VerifyIfGiven => (true, false),
        ClientAuth::RequireAndVerify => (false, false),
    }
}

#[cfg(test)]
mod tests;
