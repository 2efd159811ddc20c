//! Certificates of a test's own, made anew, in a directory of their own, which web configurations name them from.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use tempfile::TempDir;

/// What the server's certificate is for.
pub const SERVER_NAME: &str = "node.example";

/// | file | |
/// |---|---|
/// | `ca` | signed `server` and `client` |
/// | `server` | for `node.example` and 127.0.0.1 |
/// | `client` | for `prometheus.example`, 192.0.2.7, `team@example.org`, `spiffe://example.org/prometheus` |
/// | `any-usage` | as `client`, and good for any usage instead of client authentication |
/// | `expired` | as `client`, and its time is over |
/// | `stranger` | as `client`, signed by nobody that is known |
/// | `own` | signed itself and calls itself a CA, as `openssl req -x509` makes them |
/// | `own-expired` | the same, and its time is over |
pub struct Pki(TempDir);

impl Pki {
    pub fn new() -> Self {
        let pki = Self(TempDir::new().unwrap());
        let ca = authority("a CA");
        pki.write("ca.crt", ca.pem());
        pki.renew_server(&ca, 2099);
        let client = || {
            let mut params = params("a client");
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.subject_alt_names = vec![
                SanType::DnsName("prometheus.example".try_into().unwrap()),
                SanType::IpAddress([192, 0, 2, 7].into()),
                SanType::Rfc822Name("team@example.org".try_into().unwrap()),
                SanType::URI("spiffe://example.org/prometheus".try_into().unwrap()),
            ];
            params
        };
        pki.sign("client", &client(), &ca);
        let mut any_usage = client();
        any_usage.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
        pki.sign("any-usage", &any_usage, &ca);
        pki.sign("expired", &over(client()), &ca);
        pki.sign("stranger", &client(), &authority("another CA"));
        pki.sign_itself("own", &a_ca("self"));
        pki.sign_itself("own-expired", &over(a_ca("self")));
        pki
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(file);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// As an editor that cares does: nobody sees half of it, and it looks as old as a minute.
    pub fn replace(&self, file: &str, text: impl AsRef<[u8]>) {
        let new = self.write(&format!(".{file}.new"), text);
        age(&new);
        std::fs::rename(new, self.path(file)).unwrap();
    }

    /// A certificate for the server, until 2098, from a CA that nobody knows yet, which is returned.
    pub fn rotate(&self) -> String {
        let ca = authority("the next CA");
        self.renew_server(&ca, 2098);
        for file in ["server.crt", "server.key"] {
            age(&self.path(file));
        }
        ca.pem()
    }

    fn renew_server(&self, ca: &CertifiedIssuer<'_, KeyPair>, expires: i32) {
        let mut params = params("a server");
        params.not_after = date_time_ymd(expires, 1, 1);
        params.subject_alt_names =
            vec![SanType::DnsName(SERVER_NAME.try_into().unwrap()), SanType::IpAddress([127, 0, 0, 1].into())];
        self.sign("server", &params, ca);
    }

    fn sign(&self, name: &str, params: &CertificateParams, ca: &CertifiedIssuer<'_, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.crt"), params.signed_by(&key, ca).unwrap().pem());
        self.write(&format!("{name}.key"), key.serialize_pem());
    }

    fn sign_itself(&self, name: &str, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.crt"), params.self_signed(&key).unwrap().pem());
        self.write(&format!("{name}.key"), key.serialize_pem());
    }
}

/// A file that was written just now may be half written, and is left alone.
pub fn age(path: &Path) {
    let minute_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(minute_ago).unwrap();
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    CertifiedIssuer::self_signed(a_ca(name), KeyPair::generate().unwrap()).unwrap()
}

fn a_ca(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn over(mut params: CertificateParams) -> CertificateParams {
    params.not_after = date_time_ymd(2020, 1, 1);
    params
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params
}
