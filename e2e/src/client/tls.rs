//! TLS as an HTTP client configuration describes it. Prometheus is written in Go, which accepts certificates that webpki
//! refuses, such as self-signed ones of a CA or of X.509 version 1: one that is listed as `ca` is trusted as it is.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore,
    SignatureScheme, StreamOwned,
};
use rustls_platform_verifier::Verifier;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};
use x509_cert::der::{Decode as _, Encode as _};

/// A client certificate with its chain, and its private key, in PEM.
pub(super) struct Identity {
    pub cert: String,
    pub key: String,
}

/// The configuration of a client that trusts the listed CAs, or the system's without any.
pub(super) fn config(ca: Option<&str>, identity: Option<&Identity>, trusts_all: bool) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match ca {
        None if !trusts_all => Arc::new(Verifier::new(Arc::clone(&provider)).context("the system's CAs")?),
        _ => Arc::new(ListedCertificates::new(
            ca.map_or(Ok(Vec::new()), |pem| certificates(pem, "ca"))?,
            trusts_all,
            &provider,
        )),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.cert, "cert")?;
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).ok();
            let key = provider.key_provider.load_private_key(key.context("`key` holds no private key in PEM")?)?;
            let certified = CertifiedKey::new(chain, key);
            let differ = matches!(certified.keys_match(), Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)));
            ensure!(!differ, "`key` is not the private key of `cert`");
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
    }))
}

fn certificates(pem: &str, key: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
    ensure!(!found.is_empty(), "`{key}` holds no certificate in PEM");
    Ok(found)
}

/// Accepts the listed certificates as they are, and what they have signed.
#[derive(Debug)]
struct ListedCertificates {
    certificates: Vec<CertificateDer<'static>>,
    /// `None` where no listed certificate can sign others.
    chains: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    trusts_all: bool,
}

impl ListedCertificates {
    fn new(certificates: Vec<CertificateDer<'static>>, trusts_all: bool, provider: &Arc<CryptoProvider>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().ok();
        Self { certificates, chains, provider: Arc::clone(provider), trusts_all }
    }
}

impl ServerCertVerifier for ListedCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trusts_all || self.certificates.iter().any(|listed| listed == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let chains = self.chains.as_ref().ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    /// By the key alone: webpki reads no certificate of version 1.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let cert = x509_cert::Certificate::from_der(cert);
        let key = cert.and_then(|cert| cert.tbs_certificate.subject_public_key_info.to_der());
        let key = key.map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(key), dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Adds TLS to connections for `https`.
#[derive(Debug)]
pub(super) struct Tls(pub Arc<ClientConfig>);

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, TlsTransport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|_| ureq::Error::Tls("not a host name"))?;
        let mut conn = ClientConnection::new(Arc::clone(&self.0), name)?;
        let transport: Box<dyn Transport> = Box::new(transport);
        let mut sock = TransportAdapter::new(transport, Arc::clone(&details.current_time));
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock)?;
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        let stream = StreamOwned::new(conn, sock);
        Ok(Some(Either::B(TlsTransport { stream, buffers: LazyBuffers::new(input, output) })))
    }
}

/// A connection inside TLS.
pub(super) struct TlsTransport {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SigningKey as _};
    use rustls::{ServerConfig, ServerConnection};
    use x509_cert::certificate::Version;
    use x509_cert::der::asn1::BitString;

    use super::*;
    use crate::client::access::Access;
    use crate::client::http::Server;

    /// Answers one request over TLS with this certificate, whatever is wrong with it; returns the address.
    fn serve(certificate: &[u8], key: &KeyPair) -> String {
        let provider = Arc::new(ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let certified = CertifiedKey::new(vec![CertificateDer::from(certificate.to_vec())], key);
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        let config = Arc::new(config.with_no_client_auth().with_cert_resolver(resolver));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
            if stream.read(&mut [0; 4096]).is_ok() {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            }
        });
        address
    }

    fn ask(address: &str, listed: &[u8]) -> Result<String> {
        let pem = BASE64_STANDARD.encode(listed);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n");
        let access = Access { authorization: None, tls: Some(config(Some(&pem), None, false)?) };
        Ok(Server::elsewhere(address, &access).get("/", &[])?.text()?)
    }

    /// A certificate of a CA, for the address of the server itself.
    fn of_a_ca(key: &KeyPair) -> Vec<u8> {
        let mut parameters = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.self_signed(key).unwrap().der().to_vec()
    }

    /// The same certificate in X.509 version 1, which has no extensions.
    fn of_version_1(key: &KeyPair) -> Vec<u8> {
        let mut certificate = x509_cert::Certificate::from_der(&of_a_ca(key)).unwrap();
        let content = &mut certificate.tbs_certificate;
        (content.version, content.extensions) = (Version::V1, None);
        let signature = key.sign(&content.to_der().unwrap()).unwrap();
        certificate.signature = BitString::from_bytes(&signature).unwrap();
        certificate.to_der().unwrap()
    }

    #[test]
    fn a_listed_certificate_is_trusted_as_it_is() {
        let key = KeyPair::generate().unwrap();
        for certificate in [of_a_ca(&key), of_version_1(&key)] {
            assert_eq!(ask(&serve(&certificate, &key), &certificate).unwrap(), "ok");
        }
    }

    #[test]
    fn another_certificate_is_refused_with_what_to_do() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let error = format!("{:#}", ask(&serve(&of_a_ca(&key), &key), &of_a_ca(&other)).unwrap_err());
        assert!(error.contains("invalid peer certificate") && error.contains("list it as `ca_file`"), "{error}");
    }

    #[test]
    fn a_key_of_another_certificate_is_named() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let cert = CertificateParams::new(["a".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let identity = Identity { cert, key: other.serialize_pem() };
        let error = config(None, Some(&identity), true).unwrap_err().to_string();
        assert_eq!(error, "`key` is not the private key of `cert`");
    }
}
