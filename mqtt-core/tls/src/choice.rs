use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::files::{self, IdentityContents};
use crate::material::Pair;
use crate::{CertificateFiles, Problem, names};

/// A certificate with its key, and the names it is chosen by.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    /// The same as it was read.
    pub(crate) pair: Arc<Pair>,
    pub(crate) subject: Arc<str>,
    /// Seconds since 1970.
    pub(crate) not_after: i64,
}

/// Chooses the certificate by the name that the client asks for.
#[derive(Debug)]
pub(crate) struct Choice(pub(crate) Vec<Identity>);

impl Identity {
    pub(crate) fn read(
        files: &CertificateFiles,
        contents: IdentityContents,
        provider: &CryptoProvider,
    ) -> Result<Self, Problem> {
        let chain = files::certificates(&files.chain, &contents.chain)?;
        let key = files::key(&files.key, &contents.key)?;
        let mut certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Problem::of(
                &files.key,
                format!("the key is not that of the certificate in {}", files.chain.display()),
                "write both files again, the certificate of the server first in its file",
            ),
            error => {
                Problem::of(&files.key, format!("the key cannot be used: {error}"), "write the file again")
            }
        })?;
        certified.ocsp = contents.ocsp.map(|der| files::ocsp(&files.ocsp, der)).transpose()?;
        Self::new(&files.chain, certified, contents.chain, contents.key)
    }

    pub(crate) fn new(
        file: &Path,
        key: CertifiedKey,
        chain: impl Into<Vec<u8>>,
        own_key: impl Into<Vec<u8>>,
    ) -> Result<Self, Problem> {
        let bad = || Problem::of(file, "the first certificate cannot be read", "write the file again");
        let leaf = key.end_entity_cert().map_err(|_| bad())?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| bad())?;
        let names = names::dns_names(&parsed);
        let subject = names::rfc4514(parsed.subject());
        // A certificate of today often has no subject at all.
        let subject = if subject.is_empty() { names.join(",") } else { subject };
        let not_after = parsed.validity().not_after.timestamp();
        let pair = Pair { chain: chain.into(), key: Zeroizing::new(own_key.into()), names };
        Ok(Self { subject: subject.into(), not_after, key: Arc::new(key), pair: Arc::new(pair) })
    }

    fn has(&self, name: &str) -> bool {
        let rest = name.split_once('.').map(|(_, rest)| rest);
        let matches = |own: &String| match own.strip_prefix("*.") {
            // [RFC6125 6.4.3] The star stands for exactly one label.
            Some(parent) => rest == Some(parent),
            None => own == name,
        };
        self.pair.names.iter().any(matches)
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let signs =
            |identity: &&Identity| identity.key.key.choose_scheme(hello.signature_schemes()).is_some();
        let named = || name.iter().flat_map(|name| self.0.iter().filter(|identity| identity.has(name)));
        let chosen = named().find(signs).or_else(|| named().next());
        let chosen = chosen.or_else(|| self.0.iter().find(signs)).or_else(|| self.0.first());
        chosen.map(|identity| identity.key.clone())
    }
}
