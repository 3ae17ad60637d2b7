use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, HandshakeKind, ServerConnection};
use tempfile::TempDir;

use crate::{CertificateFiles, Certificates, ClientCertificate, ClientConfig, Config};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A CA that certifies whatever is asked.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate shall be.
pub(super) struct Wish<'a> {
    pub(super) names: &'a [&'a str],
    pub(super) common_name: &'a str,
    pub(super) serial: u64,
    /// How long before now it ends.
    pub(super) expired: Option<Duration>,
}

/// A directory with the files of a server and its clients.
pub(super) struct Folder(pub(super) TempDir);

/// Both ends of a connection, with nothing between them.
pub(super) struct Pair {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, in PEM.
    pub(super) fn certify(&self, wish: &Wish<'_>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = wish.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
        params.distinguished_name.push(DnType::CommonName, wish.common_name);
        params.serial_number = Some(SerialNumber::from(wish.serial));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::now();
        params.not_before = (now - 30 * DAY).into();
        params.not_after = wish.expired.map_or(now + 300 * DAY, |ago| now - ago).into();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub(super) fn server(&self, name: &str) -> (String, String) {
        self.certify(&Wish { names: &[name], common_name: name, ..Wish::default() })
    }

    pub(super) fn client(&self, name: &str, serial: u64) -> (String, String) {
        self.certify(&Wish { common_name: name, serial, ..Wish::default() })
    }

    /// A revocation list with these serial numbers, in PEM.
    pub(super) fn revoke(&self, serials: &[u64]) -> String {
        let now = SystemTime::now();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: (now - DAY).into(),
            next_update: (now + DAY).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self { names: &[], common_name: "somebody", serial: 1, expired: None }
    }
}

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes a certificate and its key.
    pub(super) fn certificate(&self, name: &str, (chain, key): &(String, String)) -> CertificateFiles {
        CertificateFiles {
            chain: self.write(&format!("{name}.pem"), chain),
            key: self.write(&format!("{name}.key"), key),
            ocsp: PathBuf::new(),
        }
    }

    /// A server with a certificate for `localhost` that wants certificates of the same CA from clients.
    pub(super) fn server(&self, ca: &Authority, clients: ClientCertificate) -> Config {
        Config {
            certificates: vec![self.certificate("server", &ca.server("localhost"))],
            client_ca: self.write("ca.pem", &ca.pem),
            client_certificate: clients,
            ..Config::default()
        }
    }

    pub(super) fn load(&self, config: &Config) -> Certificates {
        Certificates::load(config, self.0.path()).unwrap()
    }

    /// A client that trusts the CA, and shows this certificate.
    pub(super) fn client(&self, ca: &Authority, own: Option<&(String, String)>) -> Arc<rustls::ClientConfig> {
        let mut config = ClientConfig { ca: self.write("trusted.pem", &ca.pem), ..ClientConfig::default() };
        if let Some(own) = own {
            let files = self.certificate("client", own);
            (config.certificate, config.key) = (files.chain, files.key);
        }
        config.load(&[]).unwrap()
    }
}

impl Pair {
    pub(super) fn new(certificates: &Certificates, client: &Arc<rustls::ClientConfig>) -> Self {
        Self::named(certificates, client, "localhost")
    }

    pub(super) fn named(certificates: &Certificates, client: &Arc<rustls::ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Self {
            client: ClientConnection::new(client.clone(), name).unwrap(),
            server: ServerConnection::new(certificates.server_config(&[])).unwrap(),
        }
    }

    /// Carries everything over until both are silent; the server's verdict.
    pub(super) fn run(&mut self) -> Result<(), rustls::Error> {
        let mut verdict = Ok(());
        for _ in 0..10 {
            let mut wire = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut wire).unwrap();
            }
            let mut input = wire.as_slice();
            while !input.is_empty() {
                self.server.read_tls(&mut input).unwrap();
                if let Err(error) = self.server.process_new_packets() {
                    verdict = verdict.and(Err(error));
                    break;
                }
            }
            let mut wire = Vec::new();
            while self.server.wants_write() {
                self.server.write_tls(&mut wire).unwrap();
            }
            let mut input = wire.as_slice();
            while !input.is_empty() {
                self.client.read_tls(&mut input).unwrap();
                if self.client.process_new_packets().is_err() {
                    break;
                }
            }
        }
        verdict
    }

    pub(super) fn is_resumed(&self) -> bool {
        self.server.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether a word from the client arrives.
    pub(super) fn is_alive(&mut self) -> bool {
        self.client.writer().write_all(b"hello").unwrap();
        let mut word = [0; 5];
        self.run().is_ok() && self.server.reader().read_exact(&mut word).is_ok() && word == *b"hello"
    }
}

/// The certificate that the client was shown, as its subject says.
pub(super) fn shown(pair: &Pair) -> String {
    let chain = pair.client.peer_certificates().unwrap();
    crate::certificate(&chain[0]).unwrap().common_name.unwrap().to_string()
}

/// Points a symbolic link at something else in one step, as Kubernetes does.
pub(super) fn swap(link: &Path, target: &Path) {
    let draft = link.with_file_name("draft");
    std::os::unix::fs::symlink(target, &draft).unwrap();
    std::fs::rename(draft, link).unwrap();
}
