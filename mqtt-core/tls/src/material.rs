use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::ClientCertificate;

/// What the files of a profile hold, for those who do not secure with rustls. It is another one once they change.
#[derive(Debug)]
pub struct Material {
    /// The certificates and their keys, the most liked first; there is one at least.
    pub certificates: Vec<Arc<Pair>>,
    /// The CAs whose client certificates are trusted, PEM.
    pub client_ca: Option<Vec<u8>>,
    /// Whether clients are asked for a certificate.
    pub client_certificate: ClientCertificate,
    /// Revocation lists, PEM or DER.
    pub crls: Vec<Vec<u8>>,
}

/// A certificate and its key, PEM.
pub struct Pair {
    /// The certificate, then those of the CAs between it and the root.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Zeroizing<Vec<u8>>,
    /// The DNS names of the certificate, in lower case.
    pub names: Vec<String>,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}
