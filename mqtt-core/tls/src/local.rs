use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::choice::Identity;
use crate::secured::{not_after, seconds};
use crate::{Problem, names};

/// Where the local CA is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In this file, for clients to trust.
    File(PathBuf),
    /// Only in memory: at the next start there is another.
    Memory,
}

/// A CA of this machine alone, and a certificate of it for the server.
pub(crate) struct Local {
    pub(crate) ca_pem: String,
    pub(crate) kept: Kept,
    pub(crate) identity: Identity,
    ca_key: KeyPair,
    directory: PathBuf,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const CA_VALIDITY: Duration = Duration::from_secs(3652 * DAY.as_secs());
const VALIDITY: Duration = Duration::from_secs(365 * DAY.as_secs());

/// What has less validity left is made again.
const LEFT: Duration = Duration::from_secs(30 * DAY.as_secs());

/// Clocks of clients may be this far behind.
const SKEW: Duration = DAY;

const CA_NAME: &str = "Watersmeet local CA";
const FIX: &str = "remove ca.pem and ca.key there, and new ones are made that clients must be given";

impl Local {
    /// Takes what the directory holds, and makes what is missing or about to expire.
    pub(crate) fn open(
        state_dir: &Path,
        provider: &Arc<CryptoProvider>,
        now: SystemTime,
    ) -> Result<Self, Problem> {
        let directory = state_dir.join("tls");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        let mut kept = Kept::File(directory.join("ca.pem"));
        if let Err(error) = made {
            warn!(directory = %directory.display(), %error, "The local CA cannot be kept, so there will be another \
                at the next start: let the user that runs the server write there, or name certificates.");
            kept = Kept::Memory;
        }
        let _turn = turn(&directory);
        let (ca_pem, ca_key) = match read_ca(&directory, now)? {
            Some(ca) => ca,
            None => make_ca(&directory, &mut kept, now)?,
        };
        let read = read_identity(&directory, &ca_pem, provider, now);
        let identity = match read {
            Some(identity) => identity,
            None => make_identity(&directory, &mut kept, &ca_key, provider, now)?,
        };
        Ok(Self { ca_pem, kept, identity, ca_key, directory })
    }

    /// Whether the server's certificate is about to expire.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        self.identity.not_after < seconds(now + LEFT)
    }

    /// Makes the server's certificate again if it is about to expire; returns whether it was.
    pub(crate) fn renew(&mut self, provider: &Arc<CryptoProvider>, now: SystemTime) -> Result<bool, Problem> {
        if !self.is_due(now) {
            return Ok(false);
        }
        let directory = &self.directory;
        let _turn = turn(directory);
        self.identity = make_identity(directory, &mut self.kept, &self.ca_key, provider, now)?;
        Ok(true)
    }
}

/// Keeps other servers with this directory from making what is made here, until it is dropped: a certificate of one and a
/// key of another would be of no use. Where there are no locks on files, there is one server.
fn turn(directory: &Path) -> Option<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(directory.join("lock")).ok()?;
    file.lock().ok().map(|()| file)
}

/// The CA of the directory, unless there is none or it is about to expire.
fn read_ca(directory: &Path, now: SystemTime) -> Result<Option<(String, KeyPair)>, Problem> {
    let (pem_file, key_file) = (directory.join("ca.pem"), directory.join("ca.key"));
    let Some((pem, key)) = both(&pem_file, &key_file)? else { return Ok(None) };
    let bad = |file: &Path, cause: &str| Problem::of(file, cause, FIX);
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| bad(&pem_file, "is no certificate in PEM"))?;
    let key = KeyPair::from_pem(&key).map_err(|_| bad(&key_file, "is no private key in PEM"))?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| bad(&pem_file, "is no certificate"))?;
    if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return Err(bad(&key_file, "is not the key of ca.pem"));
    }
    let stays = parsed.validity().not_after.timestamp() >= seconds(now + LEFT);
    Ok(stays.then_some((pem, key)))
}

/// The server's certificate of the directory, if it is still the one that would be made.
fn read_identity(
    directory: &Path,
    ca_pem: &str,
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Option<Identity> {
    let file = directory.join("server.pem");
    let (pem, key) = both(&file, &directory.join("server.key")).ok()??;
    let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).ok()?];
    let leaf = chain.first()?;
    if not_after(leaf)? < seconds(now + LEFT) {
        return None;
    }
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).ok()?).ok()?;
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok()?;
    let name = ServerName::try_from("localhost").ok()?;
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).ok()?);
    verifier.verify_server_cert(leaf, &[], &name, &[], now).ok()?;
    if names::alternative_names(&parsed) != wanted_names() {
        return None;
    }
    let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
    Identity::new(&file, CertifiedKey::from_der(chain, der, provider).ok()?, pem, key).ok()
}

/// What two files hold that belong together; `None` unless both are there.
fn both(first: &Path, second: &Path) -> Result<Option<(String, String)>, Problem> {
    let read = |path: &Path| match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(Problem::unreadable(path, &error)),
    };
    Ok(read(first)?.zip(read(second)?))
}

fn make_ca(directory: &Path, kept: &mut Kept, now: SystemTime) -> Result<(String, KeyPair), Problem> {
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = ca_params();
    params.not_before = (now - SKEW).into();
    params.not_after = (now + CA_VALIDITY).into();
    let pem = params.self_signed(&key).map_err(failed)?.pem();
    keep(directory, kept, [("ca.key", &key.serialize_pem()), ("ca.pem", &pem)]);
    if let Kept::File(file) = kept {
        info!(ca = %file.display(), "A local CA was made; clients that are given this file trust the server.");
    }
    Ok((pem, key))
}

fn make_identity(
    directory: &Path,
    kept: &mut Kept,
    ca_key: &KeyPair,
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Result<Identity, Problem> {
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "Watersmeet");
    let (host, addresses) = (host_name(), [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    for name in ["localhost".to_owned()].into_iter().chain(host) {
        if let Ok(name) = name.try_into() {
            params.subject_alt_names.push(SanType::DnsName(name));
        }
    }
    params.subject_alt_names.extend(addresses.map(SanType::IpAddress));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - SKEW).into();
    params.not_after = (now + VALIDITY).into();
    let issuer = ca_params();
    let made = params.signed_by(&key, &Issuer::from_params(&issuer, ca_key)).map_err(failed)?;
    keep(directory, kept, [("server.key", &key.serialize_pem()), ("server.pem", &made.pem())]);
    let der = PrivateKeyDer::try_from(key.serialize_der()).map_err(failed)?;
    let certified = CertifiedKey::from_der(vec![made.der().clone()], der, provider).map_err(failed)?;
    Identity::new(&directory.join("server.pem"), certified, made.pem(), key.serialize_pem())
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// The names in the order in which the certificate has them.
fn wanted_names() -> Vec<String> {
    let names = ["localhost".to_owned()].into_iter().chain(host_name());
    names.chain(["127.0.0.1".to_owned(), "::1".to_owned()]).collect()
}

/// This machine's name, if it has one that a certificate can hold.
fn host_name() -> Option<String> {
    let name =
        fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    let name = name.ok()?.trim().to_ascii_lowercase();
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (!name.is_empty() && name != "localhost" && name.chars().all(good)).then_some(name)
}

/// Writes files that only this user may read; what cannot be written is kept in memory.
fn keep(directory: &Path, kept: &mut Kept, files: [(&str, &String); 2]) {
    if *kept == Kept::Memory {
        return;
    }
    for (name, text) in files {
        let path = directory.join(name);
        if let Err(error) = write(&path, text) {
            warn!(file = %path.display(), %error, "The local CA cannot be kept, so there will be another at the next \
                start: let the user that runs the server write there, or name certificates.");
            *kept = Kept::Memory;
            return;
        }
    }
}

/// Writes the file beside its place and moves it there, so that nobody reads half of it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::general(
        format!("a certificate could not be made: {error}"),
        "name certificates in the configuration",
    )
}
