use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::Keys;

/// What a listener offers, whom it lets in, and its bounds. Files are given as their contents: PEM, or DER.
#[derive(Clone)]
pub struct Settings {
    /// What the server shows: those with the name that the client asks for, else all, the most liked first; none for
    /// pre-shared keys alone. One of a kind that the engine does not know, such as Ed25519, is left out if another is left.
    pub certificates: Vec<Certificate>,
    /// The CAs whose client certificates are trusted.
    pub client_ca: Vec<Vec<u8>>,
    /// Whether clients are asked for a certificate. It does not concern those with a pre-shared key.
    pub client_certificate: ClientCertificate,
    /// Revocation lists for client certificates.
    pub crl: Vec<Vec<u8>>,
    /// The pre-shared keys; none for certificates alone.
    pub psk: Option<Arc<dyn Keys>>,
    /// The suites that are offered, by their IANA names, the most liked first; all good ones if empty.
    pub cipher_suites: Vec<String>,
    /// How many bytes the connection ids of this server have, 4 to 32. With 0 none is offered. [RFC9146]
    pub connection_id_length: usize,
    /// How many sessions there may be. Beyond it whoever has most of them, by key or certificate, gives one up that is
    /// silent for longest; who would take another's only one is turned away.
    pub sessions: usize,
    /// How many sessions may be unparked at once; beyond it those are parked early that are silent for longest, and end if
    /// they cannot be parked. It means nothing where none is ever parked.
    pub live_sessions: usize,
    /// How many handshakes may be under way at once. Beyond it one whose peer was not heard for four seconds makes way for
    /// another.
    pub half_open: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// When a flight of the handshake is sent again.
    pub retransmission: Retransmission,
    /// After what silence a session is parked: its keys stay, in a small part of the memory; none for never.
    pub park_after: Option<Duration>,
    /// After what silence a session is forgotten; none for never.
    pub idle_timeout: Option<Duration>,
    /// For how long after a handshake a client may resume its session without proving its identity again; zero for
    /// never.
    pub resumption: Duration,
    /// The longest datagram that a handshake makes, in bytes; at least 256. Later ones are as long as what is sent.
    pub mtu: usize,
}

/// A certificate and its private key.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate, then those of the CAs between it and the root.
    pub chain: Vec<u8>,
    /// The private key, not encrypted.
    pub key: Zeroizing<Vec<u8>>,
    /// The names that it is for.
    pub names: ServerNames,
}

/// DNS names of a server, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames(pub Vec<String>);

impl ServerNames {
    /// Whether a server of this name, in lower case, is meant by one of them.
    pub fn mean(&self, name: &str) -> bool {
        let rest = name.split_once('.').map(|(_, rest)| rest);
        // [RFC6125 6.4.3] The star stands for exactly one label.
        self.0.iter().any(|own| own == name || rest.is_some() && own.strip_prefix("*.") == rest)
    }
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    /// They are not asked.
    #[default]
    None,
    /// They are asked, and let in without one; a bad one is refused.
    Optional,
    /// They must have one.
    Required,
}

/// When a flight of the handshake is sent again: after `first`, then after twice as long each time, up to `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            client_ca: Vec::new(),
            client_certificate: ClientCertificate::None,
            crl: Vec::new(),
            psk: None,
            cipher_suites: Vec::new(),
            connection_id_length: 8,
            sessions: 1_000_000,
            live_sessions: 10_000,
            half_open: 1_000,
            handshake_timeout: Duration::from_secs(30),
            retransmission: Retransmission::default(),
            park_after: Some(Duration::from_secs(60)),
            idle_timeout: Some(Duration::from_secs(7 * 24 * 3_600)),
            resumption: Duration::from_secs(24 * 3_600),
            mtu: 1_280,
        }
    }
}

impl Default for Retransmission {
    /// As RFC 6347 section 4.2.4.1 says.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}
