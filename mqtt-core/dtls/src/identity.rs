use std::sync::Arc;

use bus::Secured;

/// Who a peer has proved to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The version: `DTLS 1.2`, `TLS 1.2`.
    pub version: Arc<str>,
    /// The cipher suite, by its IANA name.
    pub cipher: Arc<str>,
    /// The server name that the peer asked for (SNI).
    pub server_name: Option<Arc<str>>,
    /// What it has proved.
    pub proof: Proof,
}

/// What a peer has proved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Nothing: it has verified the server's certificate and shown none.
    Nothing,
    /// That it has the key of this identity, which is UTF-8. [RFC4279 5.1]
    Key(Arc<str>),
    /// That it has the private key of this certificate, in DER, which was verified.
    Certificate(Arc<[u8]>),
}

impl Identity {
    /// The same in the words of the bus; `read` reads a certificate from its DER form. `None` if it cannot.
    pub fn secured(&self, read: impl FnOnce(&[u8]) -> Option<bus::Certificate>) -> Option<Secured> {
        let (psk_identity, certificate) = match &self.proof {
            Proof::Nothing => (None, None),
            Proof::Key(identity) => (Some(identity.clone()), None),
            Proof::Certificate(der) => (None, Some(read(der)?)),
        };
        Some(Secured {
            version: self.version.clone(),
            cipher: self.cipher.clone(),
            server_name: self.server_name.clone(),
            certificate,
            psk_identity,
            ..Secured::default()
        })
    }
}
