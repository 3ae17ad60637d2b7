use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

/// Who is at the other end of a connection, as far as the transport knows.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it sends from.
    pub address: Address,
    /// The name of the listener that took it.
    pub listener: Arc<str>,
    /// What carries its bytes.
    pub transport: Transport,
    /// A number that nobody can foresee: the only source of chance a connection has.
    pub seed: u64,
    /// What is known of the way its bytes came.
    pub link: Link,
}

/// What is known of the way a peer's bytes came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// What carried them, for operators.
    pub carrier: Carrier,
    /// What the secured transport knows, or what a proxy said of it; `None` where nothing is secured.
    pub secured: Option<Arc<Secured>>,
}

/// What carried a peer's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A part of this process, or a test.
    #[default]
    Internal,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket over TCP.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
    /// QUIC.
    Quic,
    /// A Unix socket.
    Unix,
    /// UDP.
    Udp,
    /// DTLS over UDP.
    Dtls,
    /// TLS over TCP, with pre-shared keys.
    TlsPsk,
}

/// What a secured transport knows of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secured {
    /// The version: `TLS 1.3`.
    pub version: Arc<str>,
    /// The cipher suite, by its IANA name.
    pub cipher: Arc<str>,
    /// The server name that the peer asked for (SNI).
    pub server_name: Option<Arc<str>>,
    /// The peer's certificate, verified against the listener's CAs.
    pub certificate: Option<Certificate>,
    /// The identity whose pre-shared key the peer has proved to have.
    pub psk_identity: Option<Arc<str>>,
    /// What stands for that key: another one once the identity has another key.
    pub psk_mark: Option<KeyMark>,
    /// The longest datagram that can be sent to the peer, if that is less than the transport's own bound.
    pub largest_datagram: Option<usize>,
    /// The user to whom the key that the peer has proved to have belongs, where that is known without asking anybody.
    pub username: Option<Arc<str>>,
}

/// What stands for a key without telling it. It is not shown in logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyMark(pub [u8; 16]);

/// A verified X.509 certificate of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject's common name.
    pub common_name: Option<Arc<str>>,
    /// The subject, as RFC 4514 writes it: `CN=device-1,O=Example`.
    pub subject: Arc<str>,
    /// The subject's alternative names: DNS names, addresses, mail addresses and URIs, as text.
    pub alternative_names: Vec<Arc<str>>,
    /// The SHA-256 of the certificate's DER form.
    pub fingerprint: [u8; 32],
}

/// Where a peer sends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and port.
    Socket(SocketAddr),
    /// A Unix socket of this machine.
    Unix,
    /// A part of this process.
    Internal,
}

/// What carries a connection's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A byte stream: `receive` gets whatever has arrived.
    Stream,
    /// Datagrams: `receive` gets exactly one.
    Datagram,
}

/// One of several ordered byte streams of a connection; every transport but QUIC has only [`Lane::MAIN`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane(pub u32);

/// What a datagram calls its peer: a registration, a client id, a node behind a forwarder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerName(pub Bytes);

/// The name by which the broker knows a client: 1 to 65,535 bytes of UTF-8 without U+0000.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl Carrier {
    /// The name in logs and metrics: `tls`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
            Self::Quic => "quic",
            Self::Unix => "unix",
            Self::Udp => "udp",
            Self::Dtls => "dtls",
            Self::TlsPsk => "tls-psk",
        }
    }
}

impl Link {
    /// The longest datagram that can be sent to the peer.
    pub fn largest_datagram(&self) -> usize {
        self.secured.as_ref().and_then(|secured| secured.largest_datagram).unwrap_or(usize::MAX)
    }
}

impl Lane {
    /// The lane that every connection has.
    pub const MAIN: Self = Self(0);
}

impl ClientId {
    /// Takes an id as a peer wrote it; `None` when it is empty, too long or has U+0000.
    pub fn parse(id: &str) -> Option<Self> {
        (1..=65_535).contains(&id.len()).then_some(())?;
        (!id.contains('\0')).then(|| Self(id.into()))
    }

    /// The server itself, where a client's id would stand: the only id without characters, so that no client can
    /// have it.
    pub fn server() -> Self {
        Self("".into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Address {
    /// Whether the peer is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix | Self::Internal => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
            Self::Internal => f.write_str("internal"),
        }
    }
}

impl fmt::Debug for KeyMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMark")
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
