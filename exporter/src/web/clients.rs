//! Which clients' certificates are good: Go's policies, and the names that are allowed.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::config::{ClientAuth, Tls};
use super::problem::Problem;

/// Whatever a policy asks for, the client must always prove that it holds the key of the certificate it shows.
pub(super) struct Clients {
    mandatory: bool,
    authority: Authority,
    allowed_sans: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Who must have signed a certificate.
enum Authority {
    /// Anybody will do.
    Anybody,
    /// None is configured: where certificates are verified, none passes.
    Nobody,
    Known {
        verifier: Arc<dyn ClientCertVerifier>,
        /// The certificates themselves: one that a client shows as its own needs no signature.
        listed: Vec<CertificateDer<'static>>,
    },
}

impl Clients {
    /// None where no certificate is asked for.
    pub(super) fn new(
        tls: &Tls,
        authorities: Option<Vec<CertificateDer<'static>>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, Problem> {
        let (mandatory, verify) = match tls.client_auth {
            ClientAuth::None => return Ok(None),
            ClientAuth::Request => (false, false),
            ClientAuth::RequireAny => (true, false),
            ClientAuth::VerifyIfGiven => (false, true),
            ClientAuth::RequireAndVerify => (true, true),
        };
        let authority = match authorities {
            _ if !verify => Authority::Anybody,
            None => Authority::Nobody,
            Some(listed) => Authority::known(listed, provider)?,
        };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Some(Self { mandatory, authority, allowed_sans: tls.allowed_sans.clone(), algorithms }))
    }

    fn check_names(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let Some(allowed) = &self.allowed_sans else { return Ok(()) };
        if names(certificate)?.iter().any(|name| allowed.contains(name)) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }
}

impl Authority {
    fn known(listed: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Result<Self, Problem> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(listed.iter().cloned());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map(|verifier| Self::Known { verifier, listed })
            .map_err(|error| Problem::new(format!("the client CA cannot be used: {error}")))
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.authority {
            Authority::Known { verifier, .. } => verifier.root_hint_subjects(),
            Authority::Anybody | Authority::Nobody => &[],
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.authority {
            Authority::Anybody => {}
            Authority::Nobody => return Err(CertificateError::UnknownIssuer.into()),
            // As in Go: a certificate on the list is trusted as it is, even a self-signed one that calls itself a CA.
            Authority::Known { listed, .. } if listed.contains(end_entity) => check_dates(end_entity, now)?,
            Authority::Known { verifier, .. } => {
                verifier.verify_client_cert(end_entity, intermediates, now)?;
            }
        }
        self.check_names(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Clients").finish_non_exhaustive()
    }
}

fn parsed(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = parsed(certificate)?.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// The subject's alternative names: DNS names, e-mail addresses, URIs, IP addresses. The common name is none.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let certificate = parsed(certificate)?;
    let Ok(Some((_, found))) = certificate.tbs_certificate.get::<SubjectAltName>() else { return Ok(Vec::new()) };
    Ok(found.0.iter().filter_map(text).collect())
}

fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) | GeneralName::Rfc822Name(name) | GeneralName::UniformResourceIdentifier(name) => {
            Some(name.to_string())
        }
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_is_good_from_its_first_second_to_its_last() {
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let at = |seconds| check_dates(certificate.der(), UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        let (first, last) = (1_767_225_600, 1_798_761_600);
        assert_eq!([first, last].map(at), [Ok(()), Ok(())]);
        assert_eq!(at(first - 1), Err(CertificateError::NotValidYet.into()));
        assert_eq!(at(last + 1), Err(CertificateError::Expired.into()));
    }
}
