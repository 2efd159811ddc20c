//! From what the file says to what rustls serves.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use super::clients::Clients;
use super::config::{Pem, Tls};
use super::files::Files;
use super::problem::Problem;

pub(super) fn server(tls: &Tls, files: &mut Files) -> Result<Arc<ServerConfig>, Problem> {
    let provider =
        Arc::new(CryptoProvider { cipher_suites: tls.suites(), kx_groups: tls.curves(), ..ring::default_provider() });
    let refused = |error: rustls::Error| Problem::new(format!("the TLS library refuses it: {error}"));
    let chain = certificates(&tls.cert, files)?;
    let (name, text) = read(&tls.key, files)?;
    // Its error is not repeated: nothing of a key's file belongs into a log.
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| Problem::new(format!("{name} holds no private key")))?;
    let authorities = tls.client_ca.as_ref().map(|pem| certificates(pem, files)).transpose()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&tls.versions)
        .map_err(refused)?;
    let builder = match Clients::new(tls, authorities, &provider)? {
        Some(clients) => builder.with_client_cert_verifier(Arc::new(clients)),
        None => builder.with_client_cert_verifier(WebPkiClientVerifier::no_client_auth()),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => Problem::new(format!("{name} is not the key of the certificate")),
        other => refused(other),
    })?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

fn certificates(pem: &Pem, files: &mut Files) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let (name, text) = read(pem, files)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(Problem::new(format!("{name} holds no certificate"))),
    }
}

/// What to call it, and its bytes.
fn read(pem: &Pem, files: &mut Files) -> Result<(String, Vec<u8>), Problem> {
    match pem {
        Pem::Inline(key, text) => Ok(((*key).to_string(), text.clone().into_bytes())),
        Pem::File(key, path) => {
            let path = files.path(path);
            let name = format!("{key} {}", path.display());
            files.read(path).map_err(|error| Problem::new(format!("{name}: {error}"))).map(|bytes| (name, bytes))
        }
    }
}
