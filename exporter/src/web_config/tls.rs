//! Builds rustls' configuration from the file's.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{Error, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::client_certificates::ClientVerifier;
use super::error::ConfigError;
use super::files::WatchedFiles;
use super::format::{ClientAuth, PemSource, TlsConfig};

/// The loaded TLS configuration.
pub(super) struct LoadedTls {
    pub(super) server: Arc<ServerConfig>,
    /// When the exporter's own certificate expires, since 1970; `None` where that cannot be read.
    pub(super) not_after: Option<Duration>,
}

pub(super) fn load(tls: &TlsConfig, files: &mut WatchedFiles) -> Result<LoadedTls, ConfigError> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: tls.suites.clone(),
        kx_groups: tls.curves.clone(),
        ..ring::default_provider()
    });
    let (cert, chain) = certificates(&tls.cert, files)?;
    let own = Certificate::from_der(&chain[0]).ok();
    let not_after = own.map(|own| own.tbs_certificate.validity.not_after.to_unix_duration());
    let (key, text) = read(&tls.key, files)?;
    // The parser's error is dropped: no part of a key file may reach the log.
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| ConfigError::new(format!("cannot use {key}: no private key found")))?;
    let authorities = tls.client_ca.as_ref().map_or(Ok(Vec::new()), |pem| Ok(certificates(pem, files)?.1))?;
    let refused = |error: Error| match error {
        Error::InconsistentKeys(_) => ConfigError::new(format!("{key} does not match the certificate")),
        Error::InvalidCertificate(reason) => {
            ConfigError::new(format!("cannot use {cert} as the exporter's own certificate: {reason}"))
        }
        error => ConfigError::new(format!("cannot set up TLS: {error}")),
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&tls.versions)
        .map_err(refused)?;
    let verifier = match tls.client_auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        _ => Arc::new(ClientVerifier::new(tls, authorities, &provider)?),
    };
    let mut server = builder.with_client_cert_verifier(verifier).with_single_cert(chain, private).map_err(refused)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(LoadedTls { server: Arc::new(server), not_after })
}

fn certificates(
    pem: &PemSource,
    files: &mut WatchedFiles,
) -> Result<(String, Vec<CertificateDer<'static>>), ConfigError> {
    let (name, text) = read(pem, files)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok((name, chain)),
        _ => Err(ConfigError::new(format!("cannot use {name}: no certificate found"))),
    }
}

/// Returns its name for messages, and its bytes.
fn read(pem: &PemSource, files: &mut WatchedFiles) -> Result<(String, Vec<u8>), ConfigError> {
    match pem {
        PemSource::Inline(key, text) => Ok(((*key).to_string(), text.clone().into_bytes())),
        PemSource::File(key, path) => {
            let path = files.path(path);
            let name = format!("{key} {}", path.display());
            files.read(&path).map_err(|error| ConfigError::new(format!("{name}: {error}"))).map(|bytes| (name, bytes))
        }
    }
}
