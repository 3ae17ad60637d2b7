use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use crate::{Config, Problem};

/// The largest file that is read.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A file changed so shortly before it was looked at may change again without its time saying so.
const YOUNG: Duration = Duration::from_secs(2);

/// What the files of a configuration hold.
pub(crate) struct Contents {
    pub(crate) identities: Vec<IdentityContents>,
    pub(crate) client_ca: Option<Vec<u8>>,
    pub(crate) crls: Vec<Vec<u8>>,
}

/// What the files of one certificate hold.
pub(crate) struct IdentityContents {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) ocsp: Option<Vec<u8>>,
}

/// How the files of a configuration looked when they were last read.
#[derive(Default)]
pub(crate) struct Looks {
    stamps: Vec<Option<Stamp>>,
    /// Whether a file was so fresh that its stamp proves nothing.
    young: bool,
}

/// What tells one state of a file from another, behind all symbolic links.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Looks {
    /// Looks at every file; a file that cannot be seen looks like nothing.
    pub(crate) fn of(config: &Config, now: SystemTime) -> Self {
        let seen: Vec<_> = paths(config).map(|path| fs::metadata(path).ok()).collect();
        let fresh = |metadata: &fs::Metadata| {
            let modified = metadata.modified().unwrap_or(now);
            now.duration_since(modified).is_ok_and(|age| age < YOUNG) || modified > now
        };
        let young = seen.iter().flatten().any(fresh);
        Self { stamps: seen.iter().map(|metadata| metadata.as_ref().map(Stamp::of)).collect(), young }
    }

    /// Whether nothing can have changed since.
    pub(crate) fn are_those_of(&self, before: &Self) -> bool {
        !before.young && self.stamps == before.stamps
    }
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Contents {
    pub(crate) fn read(config: &Config) -> Result<Self, Problem> {
        let optional = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| read(path)).transpose();
        let identity = |files: &crate::CertificateFiles| {
            Ok(IdentityContents {
                chain: read(&files.chain)?,
                key: read(&files.key)?,
                ocsp: optional(&files.ocsp)?,
            })
        };
        Ok(Self {
            identities: config.certificates.iter().map(identity).collect::<Result<_, Problem>>()?,
            client_ca: optional(&config.client_ca)?,
            crls: config.crl.iter().map(|path| read(path)).collect::<Result<_, Problem>>()?,
        })
    }

    /// Tells one state of all files from another.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for identity in &self.identities {
            add(&mut digest, &identity.chain);
            add(&mut digest, &identity.key);
            add(&mut digest, identity.ocsp.as_deref().unwrap_or_default());
        }
        digest.update(self.trust_digest());
        digest.finalize().into()
    }

    /// Tells one state of the files that decide which clients are trusted from another.
    pub(crate) fn trust_digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        add(&mut digest, self.client_ca.as_deref().unwrap_or_default());
        self.crls.iter().for_each(|crl| add(&mut digest, crl));
        digest.finalize().into()
    }
}

fn add(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_be_bytes());
    digest.update(part);
}

fn paths(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let certificates = config.certificates.iter().flat_map(|files| [&files.chain, &files.key, &files.ocsp]);
    certificates.chain([&config.client_ca]).chain(&config.crl).filter(|path| !path.as_os_str().is_empty())
}

/// Reads a file, unless it is too large to be what it should.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |error| Problem::unreadable(path, &error);
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Problem::of(path, "is larger than 64MB", "name a file with certificates"));
    }
    Ok(bytes)
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Problem::of(
            path,
            "holds no certificate",
            "name a PEM file with a block BEGIN CERTIFICATE (`openssl x509 -inform der` makes one of DER)",
        )),
        Err(error) => Err(Problem::of(path, format!("is no good PEM: {error}"), "write the file again")),
    }
}

/// The private key of a PEM file.
pub(crate) fn key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        if pem.windows(9).any(|text| text == b"ENCRYPTED") {
            let fix = "decrypt it (`openssl pkey -in KEY -out NEW`), and let nobody else read the new file";
            return Problem::of(path, "the private key is encrypted", fix);
        }
        Problem::of(path, "holds no private key", "name a PEM file with a block BEGIN PRIVATE KEY")
    })
}

/// The revocation lists of a file, PEM or DER.
pub(crate) fn crls(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![bytes.to_vec().into()]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        _ => Err(Problem::of(path, "holds no revocation list", "name a CRL, PEM (BEGIN X509 CRL) or DER")),
    }
}

/// An OCSP response of a file: one that says no error.
pub(crate) fn ocsp(path: &Path, der: Vec<u8>) -> Result<Vec<u8>, Problem> {
    // [RFC6960 4.2.1] A sequence that begins with the status, an enumeration; 0 is successful.
    const SUCCESSFUL: [u8; 3] = [0x0A, 1, 0];
    let body = match der.as_slice() {
        [0x30, length, ..] if length & 0x80 != 0 => der.get(2 + usize::from(length & 0x7F)..),
        [0x30, ..] => der.get(2..),
        _ => None,
    };
    if body.is_some_and(|body| body.starts_with(&SUCCESSFUL)) {
        return Ok(der);
    }
    let fix =
        "write the responder's answer there as DER (`openssl ocsp ... -respout FILE`), or set ocsp = \"\"";
    Err(Problem::of(path, "is no successful OCSP response", fix))
}
