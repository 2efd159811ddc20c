//! An HTTPS client that is asked for exactly one thing at a time.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::pki::{Pki, SERVER_NAME};
use super::running::{connect, status};

pub struct Client {
    pub roots: String,
    /// Certificate and key, as PEM.
    pub certificate: Option<(String, String)>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    pub provider: CryptoProvider,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

pub type Stream = StreamOwned<ClientConnection, std::net::TcpStream>;

impl Client {
    /// Trusts the CA, and shows no certificate.
    pub fn new(pki: &Pki) -> Self {
        let (versions, provider) = (vec![&TLS13, &TLS12], ring::default_provider());
        Self { roots: pki.read("ca.crt"), certificate: None, versions, provider }
    }

    /// The same with a certificate.
    pub fn with(pki: &Pki, name: &str) -> Self {
        let pair = (pki.read(&format!("{name}.crt")), pki.read(&format!("{name}.key")));
        Self { certificate: Some(pair), ..Self::new(pki) }
    }

    pub fn get(&self, address: SocketAddr, path: &str) -> io::Result<Answer> {
        self.ask(address, path, "")
    }

    /// With further lines of the head.
    pub fn ask(&self, address: SocketAddr, path: &str, lines: &str) -> io::Result<Answer> {
        let mut stream = self.connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{lines}\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = status(head);
        Ok(Answer { status, head: head.to_string(), body: body.to_string() })
    }

    /// With the client's part of the handshake done: the server's refusal comes with the first read.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&self.roots));
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(&self.versions)
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(certificates(chain), key).map_err(io::Error::other)?
            }
        };
        let name = SERVER_NAME.try_into().unwrap();
        let client = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(client, connect(address));
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(stream)
    }
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}
